"""One plot per group, by gnuplot, beside the results."""

import os
import subprocess

import machine
import micro

STYLE = '''set terminal pngcairo noenhanced size 1100,{height} font "sans,10"
set output "{out}"
set title "{title}"
set grid {grid}
set key at screen 0.98, screen 0.02 bottom right horizontal
set bmargin 6
'''


def path(name):
    return os.path.join(machine.RESULTS, name)


def gnuplot(name, text):
    done = subprocess.run(['gnuplot'], input=text, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode != 0:
        raise machine.Failure(f'gnuplot cannot draw {name}: {done.stdout}')
    return name


def bars(name, title, rows, axis, log):
    """Horizontal bars; rows: (label, bare or None, Quoll)."""
    out = os.path.join(machine.RESULTS, name)
    data = []
    for column in (1, 2):
        lines = [f'{row[column]} {-i - 0.4 * (column - 1)}' for i, row in enumerate(rows) if row[column] is not None]
        data.append('\n'.join(lines) + '\ne\n')
    labels = ', '.join(f'"{row[0]}" {-i - 0.2}' for i, row in enumerate(rows))
    text = STYLE.format(height=160 + 30 * len(rows), out=out, title=title, grid='xtics')
    text += f'set ytics ({labels})\nset yrange [{-len(rows)}:1]\nset xlabel "{axis}"\nset lmargin {2 + max(len(row[0]) for row in rows)}\nset style fill solid 0.8 noborder\n'
    text += ('set logscale x\nset xrange [5:*]\n' if log else '')
    start = 5 if log else 0
    box = f'({start}):2:({start}):1:($2-0.18):($2+0.18) with boxxyerrorbars'
    text += f'plot "-" using {box} lc rgb "#999999" title "bare machine", "-" using {box} lc rgb "#1f5fa8" title "Quoll"\n'
    return gnuplot(out, text + ''.join(data))


def draw_micro(results):
    bare, quoll = results['micro_bare'], results['micro']
    rows = [(what, bare.get(name), quoll[name]) for name, what in micro.NAMES.items() if name in quoll]
    return bars('micro.png', 'Instructions for one operation, all CPUs and everybody on them', rows, 'instructions', True)


def draw_macro(results):
    rows = [(name.replace('_', ' '), None, value) for name, value in results['macro'].items()]
    return bars('macro.png', 'Quoll over the bare machine', rows, 'ratio (instructions; wall: wall time)', False)


def draw_scale(results):
    """Instructions per exit (must stay flat), and exits per second of wall time."""
    out = os.path.join(machine.RESULTS, 'scale.png')
    text = STYLE.format(height=500, out=out, title='All cores make exits at the same time', grid='xtics ytics')
    text += 'set xlabel "vCPUs or VMs, each on a core of its own"\nset ylabel "instructions of the whole machine per exit"\nset yrange [0:*]\n'
    text += f'set xtics ({", ".join(results["scale"]["vms"])})\n'
    curves, data = [], []
    for layout, unit in (('vcpus', 'vCPUs of one VM'), ('vms', 'VMs')):
        for kind in ('hypercalls', 'accesses'):
            curves.append(f'"-" using 1:2 with linespoints lw 2 title "{kind}, {unit}"')
            data.append('\n'.join(f'{count} {found[kind]}' for count, found in results['scale'][layout].items()) + '\ne\n')
    return gnuplot(out, text + 'plot ' + ', '.join(curves) + '\n' + ''.join(data))


def draw(results):
    """Draws the groups that are there; returns the files."""
    return [action(results) for group, action in (('micro', draw_micro), ('macro', draw_macro), ('scale', draw_scale))
            if results.get(group)]
