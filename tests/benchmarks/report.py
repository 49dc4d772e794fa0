"""The table on standard output, the JSON file of a run, and a Markdown table for docs/BENCHMARKS.md."""

import json
import os


def headline(where, options):
    return (f"{where['date']}  {where['processors']} x {where['processor']}, Linux {where['kernel']}, {where['peer']}, "
            f"commit {where['commit']}\n{options.rounds} rounds of {options.seconds:g} s, 50 connections; "
            "ratio = ours / redis, median (min..max); below 1 is less CPU or memory than Redis")


def table_header():
    return f"{'row':18} {'cost ratio':>22} {'goal':>6}  {'rate ratio':>22}  {'ours':>14} {'redis':>14}"


def _spread(value):
    return f"{value['median']:.2f} ({value['min']:.2f}..{value['max']:.2f})"


def _cost(result, label):
    return f"{result[label]['cost']['median']:.{1 if result['unit'] == 'bytes' else 2}f} {result['unit']}"


def verdict(result):
    if result["goal"] is None:
        return ""
    return "met" if result["cost_ratio"]["median"] <= result["goal"] else "MISSED"


def table_line(result):
    goal = "" if result["goal"] is None else f"{result['goal']:.2f}"
    return (f"{result['name']:18} {_spread(result['cost_ratio']):>22} {goal:>6}  {_spread(result['rate_ratio']):>22}  "
            f"{_cost(result, 'ours'):>14} {_cost(result, 'redis'):>14}  {verdict(result)}")


def markdown(where, results, failures, options):
    lines = [
        f"{where['date']}, {where['processors']} x {where['processor']}, Linux {where['kernel']}, against {where['peer']}, "
        f"commit {where['commit']}. {options.rounds} interleaved rounds of {options.seconds:g} s each, 50 connections. "
        "Cost is CPU time of the server process per operation, or resident bytes per key; ratios are ours / Redis's, "
        "median (min..max).", "",
        "| row | what | cost ratio | goal | throughput ratio | ours | Redis |", "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for r in results:
        goal = "" if r["goal"] is None else f"{r['goal']:.2f} {verdict(r)}"
        lines.append(f"| {r['name']} | {r['question']} | {_spread(r['cost_ratio'])} | {goal} | {_spread(r['rate_ratio'])} "
                     f"| {_cost(r, 'ours')} | {_cost(r, 'redis')} |")
    lines += [f"| {f['name']} | failed: {f['error']} | | | | | |" for f in failures]
    return "\n".join(lines) + "\n"


def write(folder, where, results, failures, options):
    os.makedirs(folder, exist_ok=True)
    stamp = where["date"].replace(":", "").replace("+", "_")
    run = {"machine": where, "rounds": options.rounds, "seconds": options.seconds, "results": results, "failures": failures}
    path = os.path.join(folder, f"bench-{stamp}.json")
    with open(path, "w") as file:
        json.dump(run, file, indent=1)
    with open(os.path.join(folder, "latest.md"), "w") as file:
        file.write(markdown(where, results, failures, options))
    print(f"written: {path} and latest.md beside it")
