"""The breaker opens after faults in a row and lets one probe through."""

from gateway.providers.breaker import FAULTS_MAX, OPEN_S, Breaker


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def broken(clock: Clock) -> Breaker:
    breaker = Breaker(clock)
    for _ in range(FAULTS_MAX):
        assert breaker.enter()
        breaker.failed()
    return breaker


def test_a_success_between_faults_keeps_it_closed() -> None:
    breaker = Breaker(Clock())
    for _ in range(FAULTS_MAX):
        breaker.failed()
        breaker.succeeded()
    assert breaker.admits(7) == 7


def test_faults_in_a_row_open_it() -> None:
    breaker = broken(Clock())
    assert breaker.admits(7) == 0
    assert not breaker.enter()


def test_after_a_while_one_probe_goes_first() -> None:
    clock = Clock()
    breaker = broken(clock)
    clock.now += OPEN_S
    assert breaker.admits(7) == 1
    assert breaker.enter()
    assert not breaker.enter()
    breaker.succeeded()
    assert breaker.admits(7) == 7


def test_a_probe_that_fails_opens_it_again() -> None:
    clock = Clock()
    breaker = broken(clock)
    clock.now += OPEN_S
    assert breaker.enter()
    breaker.failed()
    assert not breaker.enter()
    clock.now += OPEN_S
    assert breaker.enter()


def test_a_probe_that_was_cancelled_leaves_room_for_another() -> None:
    clock = Clock()
    breaker = broken(clock)
    clock.now += OPEN_S
    assert breaker.enter()
    breaker.abandoned()
    assert breaker.enter()
