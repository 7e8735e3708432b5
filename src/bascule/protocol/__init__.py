"""What server, agents and clients say to each other: one description of each shape.

Values are the domain's; a shape here says how they are grouped for a report or a state. Light: the
agent and the bare command line load it. What is not here: HTTP, and any judgement of what was said.
"""
