"""A panel in memory that speaks the real wire, with faults on demand.

simulator = Simulator(seed=1, key="secret")
url = await simulator.start()
simulator.faults.next("timeout-after")
...
await simulator.stop()
"""

from compat.simulator.catalogue import CATALOGUE
from compat.simulator.faults import FAULTS, Faults, UnknownFault
from compat.simulator.log import Acceptance
from compat.simulator.panel import Panel
from compat.simulator.server import Simulator, run_simulator

__all__ = [
    "CATALOGUE",
    "FAULTS",
    "Acceptance",
    "Faults",
    "Panel",
    "Simulator",
    "UnknownFault",
    "run_simulator",
]
