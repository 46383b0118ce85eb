"""Several things at a time, and when each ran and how much of the host's CPUs it took."""

import threading
import time

import host

SAMPLE_S = 0.25


class Job:
    """Something to do. `cost`: about how long it takes, in any unit; the longest is begun first, so that none is left over at the end."""

    def __init__(self, name, cost, function):
        self.name, self.cost, self.function = name, cost, function
        self.result = None
        self.begun = self.ended = 0.0
        self.used = {}  # CPU seconds of each of its machines, as last seen

    def sample(self, thread):
        for machine in host.living_of(thread):
            self.used[machine] = max(machine.cpu_seconds(), self.used.get(machine, 0))

    def timing(self):
        return {'job': self.name, 'begin_s': round(self.begun, 1), 'end_s': round(self.ended, 1),
                'cpu_s': round(sum(self.used.values()), 1)}


class Pool:
    """Runs jobs, so many at once. The first failure is what run() raises, at once; what still runs is ended with the demo."""

    def __init__(self, jobs):
        self.jobs = jobs
        self.waiting = sorted(jobs, key=lambda job: -job.cost)
        self.lock = threading.Lock()
        self.running = {}  # thread to job
        self.failure = None

    def next(self):
        with self.lock:
            return None if self.failure or not self.waiting else self.waiting.pop(0)

    def work(self):
        thread = threading.current_thread()
        while job := self.next():
            self.running[thread] = job
            job.begun = host.passed()
            try:
                job.result = job.function()
            except BaseException as failure:  # for the caller of run()
                with self.lock:
                    self.failure = self.failure or failure
            job.ended = host.passed()

    def run(self, at_once):
        workers = [threading.Thread(target=self.work, daemon=True) for _ in range(at_once)]
        for worker in workers:
            worker.start()
        while not self.failure and any(worker.is_alive() for worker in workers):
            for thread, job in list(self.running.items()):
                job.sample(thread)
            time.sleep(SAMPLE_S)
        if self.failure:
            raise self.failure
