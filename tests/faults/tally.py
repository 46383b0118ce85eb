"""What came out: build/torture/results.json, and the table."""

import json
import os

import host
from inflict import FAULTS


def save(path, content):
    with open(path + '.new', 'w', encoding='utf-8') as out:
        json.dump(content, out, indent=1)
        out.write('\n')
    os.replace(path + '.new', path)


class Tally:
    """Adds rounds up. A round that the rig could not finish counts as broken off: it proves nothing, and fails the run."""

    def __init__(self):
        self.rows = {}
        self.failed = []  # (setting, reasons)
        self.broken_off = 0

    def add(self, setting, verdict):
        key = (setting.fault, setting.mode_name(), setting.workload, setting.disk)
        row = self.rows.setdefault(key, {'rounds': 0, 'acknowledged': 0, 'lost': 0, 'out_of_order': 0})
        row['rounds'] += 1
        for name in ('acknowledged', 'lost', 'out_of_order'):
            row[name] += getattr(verdict, name)

    def fail(self, setting, reasons):
        self.failed.append((setting, reasons))

    def total(self, name, promised=None):
        return sum(row[name] for key, row in self.rows.items() if promised is None or is_promised(key) == promised)

    def save(self, seed):
        keys = ('fault', 'mode', 'workload', 'disk')
        rows = [dict(zip(keys, key), **row, promised=is_promised(key)) for key, row in sorted(self.rows.items())]
        save(os.path.join(host.PLACE, 'results.json'), rows)
        save(os.path.join(host.PLACE, 'failures.json'),
             [{'seed': seed, 'round': setting.number, 'what': setting.describe(), 'why': reasons}
              for setting, reasons in self.failed])

    def table(self):
        """By fault and mode, over all workloads and disks."""
        groups = {}
        for key, row in self.rows.items():
            group = groups.setdefault(key[:2], dict.fromkeys(row, 0) | {'promised': is_promised(key)})
            for name, value in row.items():
                group[name] += value
        order = {fault: place for place, fault in enumerate(FAULTS)}
        head = f'{"fault":15} {"":38} {"mode":22} {"rounds":>6} {"acknowledged":>12} {"lost":>6} {"out of order":>12}'
        lines = [head]
        for (fault, mode), row in sorted(groups.items(), key=lambda item: (order[item[0][0]], item[0][1])):
            lines.append(f'{fault:15} {FAULTS[fault].text:38} {mode:22} {row["rounds"]:6} {row["acknowledged"]:12} '
                         f'{row["lost"]:6} {row["out_of_order"]:12}{"" if row["promised"] else "  (newest: no promise)"}')
        return lines + [self.sum_line()]

    def table_of_kinds(self):
        """How often each kind of fault was seen. A pair counts as one kind: two at once."""
        kinds = {}
        for key, row in self.rows.items():
            kind = 'two faults at once' if '+' in key[0] else FAULTS[key[0]].kind
            kinds[kind] = kinds.get(kind, 0) + row['rounds']
        return [f'{rounds:5} rounds  {kind}' for kind, rounds in sorted(kinds.items(), key=lambda item: item[1])]

    def sum_line(self):
        return (f'{"all":77} {self.total("rounds"):6} {self.total("acknowledged"):12} {self.total("lost", True):6} '
                f'{self.total("out_of_order"):12}')


def is_promised(key):
    """Whether nothing acknowledged may be missing in such rounds."""
    fault, mode = key[:2]
    return mode.split(',')[0] not in FAULTS[fault].order_only
