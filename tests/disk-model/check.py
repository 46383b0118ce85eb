#!/usr/bin/env python3
"""The disk model does what the demo relies on: it keeps what was flushed, forgets what was not, and takes the time
the named disk would take. Called with the plugin's path."""

import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest

PLUGIN = None
SECTOR = 512
DISK_BYTES = 64 << 20
READ, WRITE, DISCONNECT, FLUSH = 0, 1, 2, 3
FUA = 1


class Nbd:
    """As much of the NBD protocol as a test needs: fixed newstyle, NBD_OPT_GO, simple replies."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.take(16)
        flags, = struct.unpack('>H', self.take(2))
        self.socket.sendall(struct.pack('>I', flags & 3))
        self.socket.sendall(b'IHAVEOPT' + struct.pack('>IIIH', 7, 6, 0, 0))
        kind = None
        while kind != 1:
            _, _, kind, length = struct.unpack('>QIII', self.take(20))
            information = self.take(length)
            if kind == 3 and information[:2] == b'\0\0':
                self.flags, = struct.unpack('>H', information[10:12])

    def take(self, count):
        data = b''
        while len(data) < count:
            more = self.socket.recv(count - len(data))
            if not more:
                raise ConnectionError('the NBD server went away')
            data += more
        return data

    def command(self, command, offset=0, length=0, data=b'', flags=0):
        """The error number of the reply and, for READ, the data."""
        head = struct.pack('>IHHQQI', 0x25609513, flags, command, 1, offset, length)
        self.socket.sendall(head + data)
        _, error, _ = struct.unpack('>IIQ', self.take(16))
        return error, self.take(length) if command == READ and error == 0 else b''

    def read(self, sector, count=1):
        error, data = self.command(READ, sector * SECTOR, count * SECTOR)
        assert error == 0, error
        return data

    def write(self, sector, data, flags=0):
        return self.command(WRITE, sector * SECTOR, len(data), data, flags)[0]

    def flush(self):
        return self.command(FLUSH)[0]


class Rig(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.image = os.path.join(self.folder.name, 'image')
        with open(self.image, 'wb') as image:
            image.truncate(DISK_BYTES)
        self.server = None
        self.clients = []

    def tearDown(self):
        self.stop(signal.SIGTERM)
        self.folder.cleanup()

    def start(self, kind, *more):
        path = os.path.join(self.folder.name, 'nbd')
        self.control = os.path.join(self.folder.name, 'control')
        for name in (path, self.control):
            if os.path.exists(name):
                os.unlink(name)
        self.server = subprocess.Popen(
            ['nbdkit', '-f', '-U', path, PLUGIN, 'file=' + self.image, 'disk=' + kind,
             'control=' + self.control, *more], stderr=subprocess.DEVNULL)
        for _ in range(500):
            if os.path.exists(path) and os.path.exists(self.control):
                break
            time.sleep(0.01)
        self.clients.append(Nbd(path))
        return self.clients[-1]

    def stop(self, how):
        for client in self.clients:
            client.socket.close()
        self.clients.clear()
        if self.server:
            self.server.send_signal(how)
            self.server.wait()
            self.server = None

    def tell(self, line):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(self.control)
            connection.sendall(line.encode() + b'\n')
            return connection.makefile().readline().strip()

    def on_medium(self, sector, count=1):
        with open(self.image, 'rb') as image:
            image.seek(sector * SECTOR)
            return image.read(count * SECTOR)


def pattern(byte, sectors=1):
    return bytes([byte]) * SECTOR * sectors


class Durability(Rig):
    def test_unflushed_data_is_read_back_but_lost_when_the_process_is_killed(self):
        disk = self.start('memory')
        self.assertEqual(disk.write(8, pattern(1)), 0)
        self.assertEqual(disk.read(8), pattern(1))
        self.stop(signal.SIGKILL)
        self.assertEqual(self.start('memory').read(8), pattern(0))

    def test_a_flush_that_fails_loses_the_cache_where_it_shall(self):
        for kept, options in ((pattern(1), []), (pattern(0), ['failed-flush=drops'])):
            disk = self.start('memory', *options)
            self.assertEqual(disk.write(8, pattern(1)), 0)
            self.tell('errors 100')
            self.assertNotEqual(disk.flush(), 0)
            self.tell('errors 0')
            self.assertEqual(disk.read(8), kept)
            self.assertEqual(disk.write(9, pattern(2)), 0)
            self.assertEqual(disk.flush(), 0)
            self.stop(signal.SIGKILL)
            self.assertEqual(self.on_medium(8, 2), kept + pattern(2))
            os.truncate(self.image, 0)
            os.truncate(self.image, DISK_BYTES)

    def test_flushed_data_survives_a_kill(self):
        disk = self.start('memory')
        disk.write(8, pattern(1))
        disk.write(5000, pattern(2, 17))
        self.assertEqual(disk.flush(), 0)
        disk.write(8, pattern(3))
        self.stop(signal.SIGKILL)
        disk = self.start('memory')
        self.assertEqual(disk.read(8), pattern(1))
        self.assertEqual(disk.read(5000, 17), pattern(2, 17))

    def test_a_durable_write_survives_alone(self):
        disk = self.start('memory')
        disk.write(8, pattern(1))
        disk.write(9, pattern(2), FUA)
        disk.write(100, pattern(3))
        self.stop(signal.SIGKILL)
        self.assertEqual(self.on_medium(9), pattern(2))
        self.assertEqual(self.on_medium(100), pattern(0))

    def test_cut_by_command_forgets_and_refuses_until_the_mains_are_back(self):
        disk = self.start('memory')
        disk.write(8, pattern(1))
        disk.flush()
        disk.write(8, pattern(2))
        self.assertEqual(self.tell('cut'), 'ok')
        self.assertNotEqual(disk.write(9, pattern(1)), 0)
        self.assertNotEqual(disk.flush(), 0)
        self.assertEqual(self.tell('on'), 'ok')
        self.assertEqual(disk.read(8), pattern(1))

    def test_cut_at_a_chosen_command(self):
        disk = self.start('memory')
        self.assertEqual(self.tell('cut-after 3'), 'ok')
        self.assertEqual(disk.write(8, pattern(1)), 0)
        self.assertEqual(disk.flush(), 0)
        disk.read(8)
        self.assertNotEqual(disk.write(8, pattern(2)), 0)
        self.assertEqual(self.on_medium(8), pattern(1))

    def test_part_of_the_unflushed_sectors_survives_when_asked_and_repeatably(self):
        found = []
        for _ in range(2):
            disk = self.start('memory', 'survive=50', 'seed=7')
            disk.write(0, pattern(9, 1000))
            self.tell('cut')
            self.stop(signal.SIGKILL)
            found.append(self.on_medium(0, 1000))
            with open(self.image, 'r+b') as image:
                image.write(bytes(1000 * SECTOR))
        kept = sum(found[0][i * SECTOR] == 9 for i in range(1000))
        self.assertTrue(350 < kept < 650, kept)
        self.assertEqual(found[0], found[1])

    def test_a_disk_with_power_loss_protection_keeps_everything_and_offers_no_flush(self):
        disk = self.start('plp-nvme')
        self.assertEqual(disk.flags & 4, 0)
        disk.write(8, pattern(1))
        self.stop(signal.SIGKILL)
        self.assertEqual(self.on_medium(8), pattern(1))

    def test_an_orderly_end_keeps_everything(self):
        disk = self.start('memory')
        disk.write(8, pattern(1))
        self.stop(signal.SIGTERM)
        self.assertEqual(self.on_medium(8), pattern(1))

    def test_a_flush_during_which_the_mains_fail_does_not_succeed(self):
        disk = self.start('7200rpm', 'dilation=100')
        for i in range(20):
            disk.write(i * 5000, pattern(1))
        disk.socket.sendall(struct.pack('>IHHQQI', 0x25609513, 0, FLUSH, 1, 0, 0))
        time.sleep(0.5)
        self.tell('cut')
        _, error, _ = struct.unpack('>IIQ', disk.take(16))
        self.assertNotEqual(error, 0)
        self.assertEqual(self.on_medium(19 * 5000), pattern(0))

    def test_torn_power_off_leaves_whole_writes_of_any_age_and_the_last_one_in_part(self):
        found = set()
        for seed in range(1, 21):
            disk = self.start('memory', 'cut=tears', 'survive=50', f'seed={seed}')
            for age in (1, 2, 3):
                disk.write(0, pattern(age, 8))
            self.tell('cut')
            self.stop(signal.SIGKILL)
            sectors = self.on_medium(0, 8)[::SECTOR]
            self.assertLessEqual(sum(a != b for a, b in zip(sectors, sectors[1:])), 1, sectors)  # torn once at most
            found.add(sectors)
            with open(self.image, 'r+b') as image:
                image.write(bytes(8 * SECTOR))
        self.assertTrue({pattern(age, 8)[::SECTOR] for age in (0, 1, 2, 3)} & found)
        self.assertTrue(any(len(set(sectors)) > 1 for sectors in found), found)
        self.assertTrue(any(3 not in sectors and sectors != bytes(8) for sectors in found), found)

    def test_torn_power_off_takes_nothing_from_what_was_made_durable_later(self):
        for seed in range(1, 11):
            disk = self.start('memory', 'cut=tears', 'survive=100', f'seed={seed}')
            disk.write(0, pattern(1, 4))
            disk.write(1, pattern(2), FUA)
            disk.write(64, pattern(3))
            disk.flush()
            disk.write(64, pattern(4))
            self.tell('cut')
            self.stop(signal.SIGKILL)
            self.assertEqual(self.on_medium(1), pattern(2))
            self.assertIn(self.on_medium(64), (pattern(3), pattern(4)))

    def test_a_disk_that_lies_about_flush_loses_what_was_flushed(self):
        disk = self.start('memory', 'flush=lies')
        disk.write(8, pattern(1))
        disk.write(9, pattern(2), FUA)
        self.assertEqual(disk.flush(), 0)
        self.tell('cut')
        self.assertEqual(self.on_medium(8, 2), pattern(0, 2))


class Errors(Rig):
    def test_errors_come_and_go(self):
        disk = self.start('memory')
        self.assertEqual(self.tell('errors 100'), 'ok')
        self.assertNotEqual(disk.write(8, pattern(1)), 0)
        self.assertNotEqual(disk.flush(), 0)
        self.assertEqual(self.tell('errors 50'), 'ok')
        failed = sum(disk.write(8, pattern(1)) != 0 for _ in range(200))
        self.assertTrue(60 < failed < 140, failed)
        self.assertEqual(self.tell('errors 0'), 'ok')
        self.assertEqual(disk.write(8, pattern(2)), 0)
        self.assertEqual(disk.flush(), 0)
        self.assertEqual(self.on_medium(8), pattern(2))

    def test_one_bad_sector_fails_only_the_writes_that_touch_it(self):
        disk = self.start('memory')
        self.tell('bad 10')
        self.assertEqual(disk.write(8, pattern(1, 2)), 0)
        self.assertNotEqual(disk.write(9, pattern(2, 2)), 0)
        self.assertEqual(disk.read(10), pattern(0))
        self.assertEqual(disk.write(11, pattern(3)), 0)
        self.tell('bad none')
        self.assertEqual(disk.write(10, pattern(4)), 0)
        self.tell('bad last')
        self.assertNotEqual(disk.write(10, pattern(5)), 0)
        self.assertEqual(disk.write(11, pattern(5)), 0)


class Latency(Rig):
    def timed(self, action, count):
        """Seconds of the quickest of `count` calls: a busy host only ever adds."""
        times = []
        for _ in range(count):
            start = time.monotonic()
            self.assertEqual(action(), 0)
            times.append(time.monotonic() - start)
        return min(times)

    def commit(self, disk):
        return disk.write(64, pattern(1, 16)) or disk.flush()

    def test_rewriting_a_block_on_7200rpm_takes_a_rotation(self):
        disk = self.start('7200rpm')
        ends = []  # of one commit to that of the next: a host that is late shortens what follows
        for _ in range(30):
            self.assertEqual(self.commit(disk), 0)
            ends.append(time.monotonic())
        each = min(later - earlier for earlier, later in zip(ends, ends[10:])) / 10
        self.assertTrue(0.0075 < each < 0.0095, each)

    def test_dilation_multiplies(self):
        disk = self.start('7200rpm')
        self.tell('dilation 10')
        self.commit(disk)
        each = self.timed(lambda: self.commit(disk), 5)
        self.assertTrue(0.075 < each < 0.095, each)

    def test_consumer_ssd_flushes_in_its_time_and_caches_fast(self):
        disk = self.start('consumer-ssd')
        each = self.timed(lambda: self.commit(disk), 50)
        self.assertTrue(0.0015 < each < 0.0030, each)
        each = self.timed(lambda: disk.write(64, pattern(1, 16)), 50)
        self.assertTrue(each < 0.001, each)

    def test_a_sequential_stream_runs_at_the_rate_of_the_medium(self):
        disk = self.start('7200rpm')
        rates = []  # the best counts: a busy host only ever takes away
        for _ in range(5):
            start = time.monotonic()
            for i in range(30):
                disk.write(i * 2048, pattern(1, 2048))
            disk.flush()
            rates.append(30 * 2048 * SECTOR / (time.monotonic() - start) / 1e6)
        self.assertTrue(50 < max(rates) < 150, rates)


class Refusal(Rig):
    def test_wrong_commands_and_parameters_get_an_answer(self):
        self.start('memory')
        self.assertTrue(self.tell('explode').startswith('error'))
        self.assertTrue(self.tell('dilation 0').startswith('error'))
        for wrong in (['disk=floppy'], ['disk=memory', 'dilation=no'], []):
            command = ['nbdkit', '-f', '-U', '-', PLUGIN, 'file=' + self.image, *wrong]
            ended = subprocess.run(command, capture_output=True, timeout=10, check=False)
            self.assertNotEqual(ended.returncode, 0)

    def test_half_sectors_are_refused(self):
        disk = self.start('memory')
        self.assertNotEqual(disk.command(WRITE, 100, 100, bytes(100))[0], 0)


if __name__ == '__main__':
    PLUGIN = sys.argv.pop(1)
    unittest.main()
