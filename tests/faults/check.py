#!/usr/bin/env python3
"""The torture rig does what its results rely on: it takes no failure for a success and no loss for a failure of its own, and
leaves nothing behind. Without any machine; `test_torture` tries the rig with one."""

import argparse
import importlib.machinery
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import types
import unittest
from unittest import mock

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [HERE, os.path.join(ROOT, 'demo')]

import guest  # noqa: E402
import host  # noqa: E402
import inflict  # noqa: E402
import machine  # noqa: E402
import mistake  # noqa: E402
import plan  # noqa: E402
import record  # noqa: E402
import stage as stages  # noqa: E402
from verdict import Verdict  # noqa: E402

LOADER = importlib.machinery.SourceFileLoader('faults_run', os.path.join(HERE, 'run'))
RUN = importlib.util.module_from_spec(importlib.util.spec_from_loader('faults_run', LOADER))
LOADER.exec_module(RUN)


class Rig(unittest.TestCase):
    """Each test has a folder of its own for everything."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix='quoll-rig-')
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        for thing, name, value in ((host, 'PLACE', self.folder), (guest, 'PACKAGES', self.path('packages')),
                                   (host, 'say', lambda text: None)):
            patch = mock.patch.object(thing, name, value)
            patch.start()
            self.addCleanup(patch.stop)

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        with open(self.path(name), 'w', encoding='utf-8') as out:
            out.write(text)
        os.chmod(self.path(name), 0o755)


class Mending(Rig):
    """A guest that can mend its file system must not get the chance to hide a loss."""

    def mends_in(self, workload, fault):
        kind = plan.WORKLOADS[workload](plan.random.Random(1))
        setting = types.SimpleNamespace(fault=fault)
        found = []
        for setting.mode in plan.MODES:
            if stages.Stage(setting, kind, self.folder).mends():
                found.append(setting.mode)
        return found

    def test_only_where_a_refused_write_goes_past_rapilog(self):
        for fault in inflict.FAULTS:
            refused = fault in ('disk-transient', 'disk-permanent', 'disk-sector', 'disk+mains', 'disk+reset')
            self.assertEqual(self.mends_in('raw', fault), [])
            self.assertEqual(self.mends_in('sqlite', fault), ['plain', 'through'] if refused else [], fault)
            self.assertEqual(self.mends_in('postgresql', fault), ['plain', 'through', 'held'] if refused else [], fault)

    def mount(self, failures, with_mender):
        """Runs demo/guest/mount-ext4 where the first `failures` mounts fail. Returns its status and who was called."""
        shutil.copy(os.path.join(host.GUEST, 'mount-ext4'), self.path('mount-ext4'))
        self.write('mount', f'#!/bin/sh\necho "mount $*" >>{self.folder}/calls\n'
                            f'[ "$(grep -c ^mount {self.folder}/calls)" -gt {failures} ]\n')
        if with_mender:
            self.write('e2fsck', f'#!/bin/sh\necho "e2fsck $*" >>{self.folder}/calls\n')
        done = subprocess.run([self.path('mount-ext4'), '/dev/vda', '/mnt', 'noatime'], stdout=subprocess.PIPE, text=True,
                              check=False, env=dict(os.environ, PATH=self.folder + ':' + os.environ['PATH']))
        with open(self.path('calls'), encoding='utf-8') as calls:
            called = calls.read().splitlines()
        os.unlink(self.path('calls'))
        self.assertLessEqual(set(called), {'mount -t ext4 -o noatime /dev/vda /mnt', 'e2fsck -y /dev/vda'})
        return done.returncode, [call.split()[0] for call in called], done.stdout

    def test_mounts_twice_before_it_mends(self):
        self.assertEqual(self.mount(0, True), (0, ['mount'], ''))
        self.assertEqual(self.mount(1, True), (0, ['mount', 'mount'], ''))
        status, called, said = self.mount(2, True)
        self.assertEqual((status, called), (0, ['mount', 'mount', 'e2fsck', 'mount']))
        self.assertIn('e2fsck has mended it', said)
        self.assertEqual(self.mount(3, True), (1, ['mount', 'mount', 'e2fsck', 'mount'], ''))

    def test_without_a_mender_it_fails(self):
        self.assertEqual(self.mount(2, False), (1, ['mount', 'mount'], ''))

    def test_a_workload_does_not_begin_without_its_file_system(self):
        with open(os.path.join(HERE, 'guest', 'init'), encoding='utf-8') as source:
            mounted = re.search(r'^mounted\(\) {.*?^}$', source.read(), re.M | re.S).group()
        script = mounted.replace('/proc/mounts', '/dev/null').replace('/demo/mount-ext4', 'false') + '\nmounted x && echo begun'
        done = subprocess.run(['sh', '-c', script], stdout=subprocess.PIPE, text=True, check=False)
        self.assertEqual(done.stdout, '@failed mount x\n')


class Ending(Rig):
    """A machine that has ended is let go of, and nothing is sent to its number."""

    def ended_machine(self):
        ended = machine.Machine(['true'], 'ended', self.path('qmp'))
        ended.wait_end_at_most(10)
        return ended

    def check_let_go(self, action):
        ended = self.ended_machine()
        self.assertIn(ended, host.living)
        with mock.patch.object(os, 'killpg') as killpg:
            action(ended)
        killpg.assert_not_called()
        self.assertNotIn(ended, host.living)
        self.assertTrue(ended.log.closed and ended.errors.closed and ended.process.stdout.closed)

    def stage_of(self, this):
        stage = stages.Stage(None, None, self.path('round-0000'))
        stage.disk, stage.machine = mock.Mock(), this
        return stage

    def test_when_the_mains_fail(self):
        self.check_let_go(lambda this: self.stage_of(this).mains_off())

    def test_at_the_end_of_a_round(self):
        self.check_let_go(lambda this: self.stage_of(this).close(keep=False))

    def test_at_the_end_of_all(self):
        self.addCleanup(host.ending.clear)
        self.check_let_go(lambda this: host.end_all())

    def test_a_running_one_is_ended(self):
        running = machine.Machine(['sleep', '60'], 'running', self.path('qmp'))
        self.stage_of(running).mains_off()
        self.assertEqual(running.process.returncode, -9)

    def test_a_kept_disk_has_lost_power_before_it_is_stopped(self):
        stage = self.stage_of(None)
        stage.close(keep=True)
        self.assertEqual([call[0] for call in stage.disk.method_calls], ['cut', 'stop'])

    def test_a_guest_that_ended_names_both_files(self):
        ended = self.ended_machine()
        self.addCleanup(ended.kill)
        with self.assertRaisesRegex(host.Failure, r'ended\.log, .*ended\.err'):
            ended.answer()


class Complaints(Rig):
    """What a writer says that it could not do counts, unless the disk refuses something in that round."""

    def stage_of(self, fault, answers):
        stage = mock.Mock(workload=plan.WORKLOADS['raw'](plan.random.Random(1)))
        stage.setting.fault = fault
        stage.machine.log_path = 'console'
        stage.machine.answer = mock.Mock(side_effect=answers)
        stage.machine.wait_for = lambda words: machine.Machine.wait_for(stage.machine, words)
        return stage

    def test_fail_the_round(self):
        for fault in ('driver', 'volume', 'vmm', 'rapilog', 'mains-early', 'mains-in-time', 'kill'):
            with self.assertRaisesRegex(host.Failure, 'failed raw write'):
                inflict.end_writers(self.stage_of(fault, [['failed', 'raw', 'write'], ['ok', 'kill']]))

    def test_are_due_to_a_disk_that_refuses(self):
        inflict.end_writers(self.stage_of('disk-sector', [['failed', 'raw', 'write'], ['ok', 'kill']]))

    def test_without_any_the_round_goes_on(self):
        inflict.end_writers(self.stage_of('driver', [['ok', 'kill']]))


class Judging(Rig):
    """A database that does not start any more is a loss, not a failure of the rig."""

    def test_a_refusal_after_the_fault_is_out_of_order(self):
        stage, setting = mock.Mock(), types.SimpleNamespace(fault='kill', dump=False)
        stage.workload.wait_killed.return_value = []
        stage.workload.judge_guest.side_effect = machine.Refused('the guest could not do "start"')
        stage.workload.judge_image.return_value = Verdict(7)
        verdict = RUN.judge(stage, setting, None)
        self.assertEqual((verdict.acknowledged, verdict.lost, verdict.out_of_order), (7, 0, 1))
        self.assertEqual(verdict.reasons, ['the guest could not do "start"'])
        stage.mains_off.assert_called_once()

    def test_the_guest_refuses(self):
        this = mock.Mock(log_path='console')
        this.answer.return_value = ['failed', 'start']
        with self.assertRaises(machine.Refused):
            machine.Machine.ask(this, 'start')


class Sharing(Rig):
    """Rigs share what they have fetched."""

    def test_one_fetches_and_the_others_wait(self):
        fetched = []

        class Source:
            def __init__(self, folder):
                self.folder = folder

            def update(self):
                time.sleep(0.2)

            def unpack(self, name, tree):
                os.makedirs(tree)
                fetched.append(name)

        with mock.patch.object(guest.package_source, 'PackageSource', Source):
            threads = [threading.Thread(target=guest.package, args=('this',)) for _ in range(3)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        self.assertEqual(fetched, ['this'])
        self.assertEqual(os.listdir(guest.PACKAGES), ['this'])

    def test_a_copy_with_a_mistake_is_lent_them(self):
        place = os.path.join(host.BUILD, 'torture', 'packages')
        self.assertIn(place, [os.path.join(host.BUILD, folder) for folder in mistake.GUESTS])


class Resuming(Rig):
    """A run goes on with the Quoll that it was begun with."""

    def options(self, resume):
        return argparse.Namespace(resume=resume, **dict.fromkeys(record.IDENTITY))

    def test_not_with_another_build(self):
        os.makedirs(self.path('target/kernel'))
        self.write('tool', 'tool')
        self.write('target/kernel/quoll.Image', 'kernel')
        with mock.patch.object(stages, 'TOOL', self.path('tool')), \
                mock.patch.dict(os.environ, QUOLL_TARGET=self.path('target')):
            record.Record(self.options(False))
            record.Record(self.options(True))
            self.write('target/kernel/quoll.Image', 'another')
            with self.assertRaisesRegex(host.Failure, 'another Quoll.*leave out --resume'):
                record.Record(self.options(True))


if __name__ == '__main__':
    unittest.main()
