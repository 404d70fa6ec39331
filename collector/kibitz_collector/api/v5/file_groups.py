"""The groups of the v5 contract that are about Files, one router each."""

from fastapi import APIRouter

from kibitz_collector.api.v5 import (
    agents,
    datasets,
    directories,
    evaluators,
    files,
    flow_files,
    prompts,
    tools,
)

ROUTERS: list[APIRouter] = [
    prompts.router,
    tools.router,
    flow_files.router,
    agents.router,
    evaluators.router,
    datasets.router,
    directories.router,
    files.router,
]
