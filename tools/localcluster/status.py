"""The text that `make run` shows: the commands to try, and one line of state."""

import time

from .cluster import PRIMARY_NAME


def commands(cluster):
    """What a person can copy and paste."""
    options = " ".join(cluster.certificates.credentials().cli_options())
    primary = cluster.primary() or cluster.dbs[0]
    sentinel = cluster.sentinels[0]
    rows = [
        ("discovery: who is the primary?", f"redis-cli -p {sentinel.port} {options} SENTINEL GET-MASTER-ADDR-BY-NAME {PRIMARY_NAME}"),
        ("the primary itself", f"redis-cli -p {primary.port} {options} SET greeting hello EX 180"),
    ]
    if not cluster.stock:
        rows.append(("the forwarding port: data commands through a sentinel", f"redis-cli -p {sentinel.port} {options} GET greeting"))
    rows.append(("end the primary hard; it comes back as a replica", f"kill -9 $(cat {primary.folder}/pid)"))
    return "\n".join(f"  # {what}\n  {command}" for what, command in rows)


def nodes(cluster):
    return "\n".join(f"  {node.name:11} {node.address:16} pid {node.process.pid:<8} log {node.process.log_path}"
                     for node in cluster.nodes)


def line(cluster):
    """Roles, offsets, lag and keys at this moment."""
    parts, primary_offset = [], None
    states = {node: node.info("replication") for node in cluster.dbs}
    for node, state in states.items():
        if state.get("role") == "master":
            primary_offset = int(state.get("master_repl_offset", 0))
    for node, state in states.items():
        role = state.get("role")
        if role == "master":
            keys = node.answer("DBSIZE")
            parts.append(f"{node.name} primary offset {primary_offset} keys {'?' if keys is None else keys}")
        elif role == "slave":
            offset = int(state.get("slave_repl_offset", 0))
            lag = "?" if primary_offset is None else max(0, primary_offset - offset)
            link = "" if state.get("master_link_status") == "up" else " link down"
            parts.append(f"{node.name} replica lag {lag} B{link}")
        else:
            parts.append(f"{node.name} down")
    answering = sum(node.answer("PING") == "PONG" for node in cluster.sentinels)
    return f"{time.strftime('%H:%M:%S')}  {' | '.join(parts)} | sentinels {answering}/{len(cluster.sentinels)}"
