"""The sans-I/O session over a kernel socket, as the example has it."""
import pathlib
import subprocess
import sys

EXAMPLE = pathlib.Path(__file__).parent.parent / "examples" / "kernel_socket_fix.py"


def test_the_example_fills_every_order():
    done = subprocess.run([sys.executable, EXAMPLE, "--orders", "50"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(" filled: 100 at 1.0825") == 50
    assert done.stdout.endswith("50 executions; the session ended: logged out\n")


def test_importing_fix_takes_no_numpy():
    code = "import fix, sys; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


def test_the_same_over_asyncio():
    example = EXAMPLE.with_name("asyncio_fix.py")
    done = subprocess.run([sys.executable, example, "--orders", "20"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(" filled, 100 at 1.0825") == 60
    assert done.stdout.count("20 executions; the session ended: logged out\n") == 3


def test_asyncio_and_sockets_understand_each_other():
    server = subprocess.Popen([sys.executable, EXAMPLE.with_name("asyncio_fix.py"), "--listen", "0"], text=True,
                              stdout=subprocess.PIPE)
    try:
        port = server.stdout.readline().split()[-1]
        done = subprocess.run([sys.executable, EXAMPLE, "--connect", f"127.0.0.1:{port}", "--orders", "10"],
                              capture_output=True, text=True, timeout=60)
    finally:
        server.kill()
        server.wait()
        server.stdout.close()
    assert done.returncode == 0 and done.stdout.count(" filled: 100 at 1.0825") == 10
