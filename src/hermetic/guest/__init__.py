"""What is measured, launched and, from inside, found out about a launch.

    owner      measure("server.toml") → LaunchDocument                       read it, pin it
    platform   plan_launch(…) → LaunchPlan → SimulatedPlatform.launch(plan)  hash, copy, execute
    workload   enter() → Guest                                               evidence, launch document, configuration

The simulated platform is in :mod:`hermetic.guest.simulated`, which a workload never loads.
"""

from hermetic.guest.launch import LaunchPlan, measure, plan_launch, split_command
from hermetic.guest.program import Program, default_store, materialise, measure_program
from hermetic.guest.workload import Guest, enter

__all__ = [
    "Guest",
    "LaunchPlan",
    "Program",
    "default_store",
    "enter",
    "materialise",
    "measure",
    "measure_program",
    "plan_launch",
    "split_command",
]
