"""What came out: one table, one plot, one JSON file."""

import json
import os

import host
import load

RESULTS = os.path.join(host.PLACE, 'results.json')
PLOT = os.path.join(host.PLACE, 'results.png')
MODE_NAMES = {'through': 'plain disk, synchronous', 'rapilog': 'RapiLog, synchronous',
              'async': 'plain disk, synchronous_commit=off'}
MODE_ORDER = ('through', 'rapilog', 'async')


def save(loads, ideal, faults, dilation, seed, timings):
    results = {'load': loads, 'ideal': ideal, 'faults': faults, 'dilation': dilation, 'seed': seed, 'timings': timings}
    with open(RESULTS + '.new', 'w', encoding='utf-8') as out:
        json.dump(results, out, indent=1)
        out.write('\n')
    os.replace(RESULTS + '.new', RESULTS)


def groups(loads):
    """Rows of the same disk, script and clients, by mode."""
    found = {}
    for row in loads:
        found.setdefault((row['disk'], row['script'], row['clients']), {})[row['mode']] = row
    return found


def ratio(rate, base):
    return f'x {rate / base:.2f}' if base else ''


def load_table(loads, ideal):
    best = {(row['script'], row['clients']): row['tps'] for row in ideal}
    lines = ['', f'{"disk":13} {"load":19} {"clients":>7}  {"log on":35} {"count":>5} {"tps":>8} {"p50 ms":>8} {"p99 ms":>8} '
             f'{"vs plain":>9} {"vs async":>9} {"vs ideal":>9}']
    for (disk, script, clients), modes in groups(loads).items():
        bases = [modes.get('through', {}).get('tps'), modes.get('async', {}).get('tps'), best.get((script, clients))]
        for mode in MODE_ORDER:
            if mode not in modes:
                continue
            row = modes[mode]
            ratios = ' '.join(f'{ratio(row["tps"], base):>9}' for base in bases)
            lines.append(f'{disk:13} {load.SCRIPTS[script]:19} {clients:7}  {MODE_NAMES[mode]:35} {row["transactions"]:5} {row["tps"]:8.1f} '
                         f'{row["p50_ms"]:8.2f} {row["p99_ms"]:8.2f} {ratios}')
    return lines


def timing_table(timings):
    lines = ['', f'{"job":32} {"begin s":>8} {"end s":>8} {"CPU s":>8}']
    lines += [f'{row["job"]:32} {row["begin_s"]:8.1f} {row["end_s"]:8.1f} {row["cpu_s"]:8.1f}' for row in timings]
    return '\n'.join(lines)


def fault_table(faults):
    lines = ['', f'{"fault":32} {"mode":16} {"disk":13} {"rounds":>6} {"acknowledged":>12} {"lost":>6}']
    for row in faults:
        name = fault_name(row['kind'])
        lines.append(f'{name:32} {row["mode"]:16} {row["disk"]:13} {row["rounds"]:6} '
                     f'{row["acknowledged"]:12} {row["lost"]:6}')
    return lines


def table(loads, ideal, faults, dilation):
    lines = load_table(loads, ideal) if loads else []
    lines += fault_table(faults) if faults else []
    lines += ['', 'Emulation: QEMU, its clock counting the instructions of all CPUs at four nanoseconds each (-icount). That is '
              f'{dilation} times slower than', f'this host, so the disk is modelled {dilation} times slower as well (time dilation), '
              'and ratios mean what they would on hardware. Idle time passes at once.', 'Reads take no time in the disk model; '
              'writes and flushes do. "count": transactions of one run; each figure is the median of several runs.',
              '"ideal": bare QEMU without Quoll, synchronous, on a disk that takes no time but what the host\'s file needs. '
              'The faults run by the', 'host\'s clock.']
    return '\n'.join(lines)


def fault_name(kind):
    return {'kill': 'PostgreSQL killed (SIGKILL)', 'panic': 'guest kernel panic', 'mains': 'mains cut'}[kind]


def plot(loads, faults, dilation):
    """Rates of all loads as bars, logarithmic, and under it what was lost."""
    data = os.path.join(host.PLACE, 'results.dat')
    with open(data, 'w', encoding='utf-8') as out:
        for (disk, script, clients), modes in groups(loads).items():
            rates = [modes[mode]['tps'] if mode in modes else 'NaN' for mode in MODE_ORDER]
            label = f'{disk}\\n{load.SCRIPTS[script]}\\n{clients} client{"s" * (clients > 1)}'
            out.write(f'"{label}" ' + ' '.join(str(rate) for rate in rates) + '\n')
    lost = data + '.lost'
    with open(lost, 'w', encoding='utf-8') as out:
        for row in faults:
            label = f'{row["kind"]}\\n{row["mode"]}'.replace('_', ' ')
            out.write(f'"{label}" {row["acknowledged"]} {row["lost"]}\n')
    script = ['set terminal pngcairo size 1200,900 font "sans,10"', f'set output "{PLOT}"',
              'set multiplot layout 2,1', 'set style data histogram', 'set style fill solid 0.8', 'set boxwidth 0.9',
              'set logscale y', 'set yrange [1:*]', 'set grid y', 'set key outside top right horizontal',
              'set bmargin 5', 'set tmargin 4',
              f'set title "Committed transactions per second (time dilated {dilation} times)"',
              'plot ' + ', '.join(f'"{data}" using {column}{":xtic(1)" if column == 2 else ""} '
                                  f'title "{MODE_NAMES[mode].replace("_", " ")}"'
                                  for column, mode in enumerate(MODE_ORDER, 2))]
    if faults:
        script += ['set title "Faults: acknowledged transactions, and those that were lost"', 'set yrange [0.8:*]',
                   f'plot "{lost}" using 2:xtic(1) title "acknowledged", "{lost}" using 3 title "lost"']
    host.run('plotting', ['gnuplot', '-e', '; '.join(script)])
