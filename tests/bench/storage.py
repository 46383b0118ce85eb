"""RapiLog's throughput on modelled disks: what saturates them, random synchronous writes, and commits by disk, clients, mode and hold-up time. One thing
varies at a time, around the base point: 8 clients, a hold-up time of one second."""

import load
import plots

CLIENTS = (1, 2, 4, 8, 16, 32)
BASE_CLIENTS = 8
HOLD_UPS = (16, 100, 1000, 10000)  # ms
HOLD_UP_DISKS = ('7200rpm', 'consumer-ssd')
SATURATED = ('7200rpm', 'consumer-ssd', 'plp-nvme')
PIECE = 256 << 10
LONG_HOLD_UP, SEQUENTIAL_MEMORY, RANDOM_MEMORY = 100000, 128, 32
ASKED_SEQUENTIAL, ASKED_RANDOM = 0.97, 5

# Enough to fill the buffer before anything is measured, or it would be the buffer's speed; and some times what it holds.
SEQUENTIAL = ('sequential', 4, 640, 2048)
RANDOM = {'plain': ('random', BASE_CLIENTS, 20, 150), 'held': ('random', BASE_CLIENTS, 8500, 24000), 'held ordered': ('random', BASE_CLIENTS, 8500, 12000)}


def commits(mode, clients):
    """Where every commit waits for the disk, twice: see better()."""
    slow = mode in ('plain', 'through')
    return {f'commit-{count}-{turn}': ('commit', count, 2 * count, max(40, 6 * count) if slow else 400)
            for turn in range(2 if slow else 1) for count in clients}


def better(loads):
    """{clients: the quicker turn}: a host so busy that its disk answers late lets the machine's clock run on meanwhile, which only ever adds."""
    found = {}
    for name, one in loads.items():
        clients = name.split('-')[1]
        if clients not in found or one['rate'] > found[clients]['rate']:
            found[clients] = one
    return found


def points():
    """{name: Point}"""
    wanted = {}
    for disk in load.DISKS:
        for mode in load.MODES:
            wanted['commit', disk, mode] = load.Point(disk, mode, commits(mode, CLIENTS))
    for disk in HOLD_UP_DISKS:
        for hold_up in HOLD_UPS:
            wanted['hold_up', disk, hold_up] = load.Point(disk, 'held', commits('held', (BASE_CLIENTS,)), hold_up)
    for disk in SATURATED:
        for mode in ('plain', 'held', 'held ordered') if disk == '7200rpm' else ('plain', 'held'):
            wanted['sequential', disk, mode] = load.Point(disk, mode, {'sequential': SEQUENTIAL}, LONG_HOLD_UP, SEQUENTIAL_MEMORY)
    for mode, words in RANDOM.items():
        wanted['random', '7200rpm', mode] = load.Point('7200rpm', mode, {'random': words}, LONG_HOLD_UP, RANDOM_MEMORY)
    return wanted


def run():
    """{kind: {disk: {mode or hold-up: {...}}}}: operations a second and latencies as load.measure() has them; commits by the number of clients."""
    wanted, found = points(), {}
    for (kind, disk, what), loads in zip(wanted, load.measure_all(list(wanted.values()))):
        if kind == 'commit':
            loads = better(loads)
        else:
            loads = next(iter(loads.values()))
        found.setdefault(kind, {}).setdefault(disk, {})[str(what)] = loads
    return found


# ---------------------------------------------------------------------------------------------------------------------

def ratio(found, kind, disk, mode):
    return found[kind][disk][mode]['rate'] / found[kind][disk]['plain']['rate']


def judge(value, asked):
    return f'asked {asked:g}: {"met" if value >= asked else "not met"}'


def table_of_bounds(found):
    lines = [f'\nsaturating sequential writes of 256 KiB, MB/s, hold-up {LONG_HOLD_UP // 1000} s, {SEQUENTIAL_MEMORY} MiB']
    for disk in SATURATED:
        for mode, one in found['sequential'][disk].items():
            share = ratio(found, 'sequential', disk, mode)
            text = '' if mode == 'plain' else f'{share:8.3f} of the disk  {judge(share, ASKED_SEQUENTIAL) if mode == "held" else ""}'
            lines.append(f'  {disk:14} {mode:13} {one["rate"] * PIECE / 1e6:9.1f} {text}')
    lines.append(f'random synchronous writes of 4 KiB on 256 MiB of a 7200rpm disk, writes/s, {BASE_CLIENTS} clients, hold-up {LONG_HOLD_UP // 1000} s, {RANDOM_MEMORY} MiB')
    for mode, one in found['random']['7200rpm'].items():
        times = ratio(found, 'random', '7200rpm', mode)
        text = '' if mode == 'plain' else f'{times:8.2f} times the disk  {judge(times, ASKED_RANDOM) if mode == "held" else ""}'
        lines.append(f'  {"7200rpm":14} {mode:13} {one["rate"]:9.1f} {text}')
    return lines


def table(found):
    lines = table_of_bounds(found)
    lines.append('commits/s (100,000 instructions and a synchronous write of 4 KiB), hold-up 1 s\n  '
                 f'{"clients":28}' + ''.join(f'{count:>10}' for count in CLIENTS) + '   median us with 8')
    for disk in load.DISKS:
        for mode, by_clients in found['commit'][disk].items():
            lines.append(f'  {disk:14} {mode:13}' + ''.join(f'{by_clients[str(count)]["rate"]:>10,.0f}' for count in CLIENTS)
                         + f'{by_clients[str(BASE_CLIENTS)]["p50_us"]:>19,.0f}')
    lines.append(f'the same, held, {BASE_CLIENTS} clients, by the hold-up time\n  {"":28}' + ''.join(f'{hold_up / 1000:>8g} s' for hold_up in HOLD_UPS))
    for disk in HOLD_UP_DISKS:
        lines.append(f'  {disk:28}' + ''.join(f'{found["hold_up"][disk][str(hold_up)]["rate"]:>10,.0f}' for hold_up in HOLD_UPS))
    return '\n'.join(lines)


def draw(found):
    """One panel for each disk, commits by clients and mode, and one by hold-up time."""
    out = plots.path('rapilog.png')
    text = f'''set terminal pngcairo noenhanced size 1500,1000 font "sans,10"
set output "{out}"
set multiplot layout 2,3 title "Commits of small transactions on RapiLog (modelled disks; hold-up 1 s where it does not vary)"
set grid
set logscale xy
set xlabel "clients"
set ylabel "commits/s"
set yrange [10:1e6]
set key bottom right
'''
    for disk in load.DISKS:
        curves, data = [], []
        for mode, by_clients in found['commit'][disk].items():
            curves.append(f'"-" using 1:2 with linespoints lw 2 title "{mode}"')
            data.append(''.join(f'{count} {by_clients[str(count)]["rate"]}\n' for count in CLIENTS) + 'e\n')
        text += f'set title "{disk}"\nset xtics ({", ".join(str(count) for count in CLIENTS)})\nset xrange [0.9:36]\nplot ' + ', '.join(curves) + '\n' + ''.join(data)
    curves, data = [], []
    for disk in HOLD_UP_DISKS:
        curves.append(f'"-" using 1:2 with linespoints lw 2 title "{disk}"')
        data.append(''.join(f'{hold_up / 1000} {found["hold_up"][disk][str(hold_up)]["rate"]}\n' for hold_up in HOLD_UPS) + 'e\n')
    text += f'set title "held, {BASE_CLIENTS} clients, by hold-up time"\nset xlabel "s"\nset xtics (0.016, 0.1, 1, 10)\nset xrange [0.01:20]\nplot ' + ', '.join(curves) + '\n' + ''.join(data)
    sequential = [(f'{disk}', ratio(found, 'sequential', disk, 'held')) for disk in SATURATED] + [('random 7200rpm', ratio(found, 'random', '7200rpm', 'held'))]
    text += 'set title "held over the plain disk: sequential, random"\nunset logscale\nset xlabel ""\nset ylabel "ratio"\nset yrange [0:*]\nset xrange [-0.6:3.6]\nset style fill solid 0.8\nset boxwidth 0.6\n'
    text += 'unset key\nset xtics (' + ', '.join(f'"{name}" {i}' for i, (name, _) in enumerate(sequential)) + ')\nplot "-" using 1:2 with boxes\n'
    text += ''.join(f'{i} {value}\n' for i, (_, value) in enumerate(sequential)) + 'e\n'
    return plots.gnuplot(out, text)
