"""Stands in for a model, so that these programs need none: it follows a script.

Where a program uses it, put a model of your own.
"""

import json
from typing import Any, TypeAlias

Answer: TypeAlias = dict[str, Any]
"""The structured content of a tool's result."""


def next_step(results: list[Answer]) -> tuple[str, dict[str, Any]] | str:
    """The next tool to call and its arguments, after these results; in the end, what to say."""
    match len(results):
        case 0:
            facts = [
                {"content": "Ada prefers tea in the morning", "source": "Ada"},
                {"content": "Ada's meetings start at nine", "source": "calendar"},
            ]
            return "engram_create", {"engrams": facts}
        case 1:
            tea, meetings = (engram["id"] for engram in results[0]["engrams"])
            return "engram_link", {"links": [{"from": tea, "to": meetings, "relation": "before"}]}
        case 2:
            return "engram_search", {"query": "what does Ada drink?", "limit": 1}
        case 3:
            return "agent_run", {"agent": "tally", "action": "by", "params": {"query": "Ada", "by": "source"}}
    return story(*results)


def story(created: Answer, linked: Answer, found: Answer, ran: Answer) -> str:
    """What has happened, in words."""
    lines = [
        f"remembered: {len(created['engrams'])}",
        f"linked: {linked['links'][0]['relation']}",
        f"recalled: {found['hits'][0]['content']}",
        f"counted: {json.dumps(ran['output']['by'], sort_keys=True)}",
    ]
    return "\n".join(lines)
