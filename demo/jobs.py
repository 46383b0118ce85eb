"""Several things at a time."""

import threading


class Jobs:
    """Runs functions, so many at once. The first failure keeps further ones from starting, and is what run() raises."""

    def __init__(self, jobs):
        self.waiting = list(enumerate(jobs))
        self.results = [None] * len(self.waiting)
        self.lock = threading.Lock()
        self.failure = None

    def next(self):
        with self.lock:
            return None if self.failure or not self.waiting else self.waiting.pop(0)

    def work(self):
        while job := self.next():
            number, function = job
            try:
                self.results[number] = function()
            except BaseException as failure:  # for the caller of run()
                with self.lock:
                    self.failure = self.failure or failure

    def run(self, at_once):
        workers = [threading.Thread(target=self.work, daemon=True) for _ in range(at_once)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        if self.failure:
            raise self.failure
        return self.results
