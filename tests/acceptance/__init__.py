"""The acceptor application that QuickFIX's acceptance definitions are played against."""
