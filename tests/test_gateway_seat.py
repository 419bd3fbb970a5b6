"""What must not be asked of a seat: from inside its own callbacks, and after its end."""
import pytest
from test_gateway_outside import Floor, Notes

from gateway import Seat

CALLS = {"step": lambda seat: seat.step(), "run": lambda seat: seat.run(signals=False), "close": lambda seat: seat.close()}


class Asks(Notes):
    """Makes `call` in each callback, and notes what came of it."""

    def __init__(self, call):
        super().__init__()
        self.call, self.came, self.seat = call, [], None

    def ask(self):
        try:
            self.call(self.engine)
        except RuntimeError as e:
            self.came.append(str(e))
        else:
            self.came.append("nothing")

    def on_start(self, engine):
        super().on_start(engine)
        self.ask()

    def on_logon(self, session):
        self.ask()

    def on_message(self, session, msg):
        self.ask()


@pytest.fixture
def floor(tmp_path):
    with Floor(tmp_path) as f:
        yield f


@pytest.mark.parametrize("what", CALLS)
def test_inside_a_callback_it_is_refused_and_the_seat_goes_on(floor, what):
    asks = Asks(CALLS[what])
    seat = floor.sit("maker", asks)
    floor.turn()
    assert asks.came == [f"{what}() inside a callback of this seat"] * 2
    floor.venue.quote("10.00")
    floor.turn()
    assert len(asks.came) == 3 and "nothing" not in asks.came
    floor.die(seat)                             # from outside it may be closed, afterwards as before


@pytest.mark.parametrize("stepped", [False, True])
@pytest.mark.parametrize("what", ["step", "run", "begin", "stats"])
def test_a_closed_seat_says_so(floor, what, stepped):
    seat = Seat("d.maker", Notes(), directory=floor.where)
    if stepped:
        seat.step(floor.street.now_ns)
    seat.close()
    seat.close()
    if what == "begin" and stepped:
        assert seat.begin() is None             # it began once
    else:
        with pytest.raises(ValueError, match=r"d\.maker is closed"):
            getattr(seat, what)()
