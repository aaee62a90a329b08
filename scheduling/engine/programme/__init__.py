"""The depot problem in full as a linear programme in strict order of objectives, solved by HiGHS."""

from scheduling.engine.programme.highs import SolverFailed as SolverFailed
from scheduling.engine.programme.lexicographic import ProgrammePlan as ProgrammePlan
from scheduling.engine.programme.lexicographic import solve as solve
from scheduling.engine.programme.taper import follow as follow
from scheduling.engine.programme.taper import most_energy as most_energy
from scheduling.engine.programme.taper import tapered as tapered
from scheduling.engine.programme.windows import careful as careful
from scheduling.engine.programme.windows import released as released
