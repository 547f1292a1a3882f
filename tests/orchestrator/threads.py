"""A cluster without Ray: the real worker with its real mailbox and trainer process, called in threads of this process."""

from __future__ import annotations

from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait

from orchestrator.cluster import WorkerLost
from orchestrator.cluster.worker import Worker
from scaling.errors import ClusterError


class ThreadWorker:
    """As `RayWorker`: a call returns a future. It belongs to a cluster that may lose it."""

    def __init__(self, cluster, request, owner):
        self.cluster, self.name, self.is_gone = cluster, None, False
        self._worker = Worker(request.environment, owner)

    def _call(self, function, *arguments):
        def called():
            answer = function(*arguments)
            if self.is_gone:
                raise WorkerLost("its node was taken away", preempted=True)
            return answer

        return self.cluster.pool.submit(called)

    def adopt(self, scheduler):
        return self._call(self._worker.adopt, scheduler)

    def start(self, assignment):
        return self._call(self._worker.start, assignment.to_dict())

    def stop(self, token):
        return self._call(self._worker.stop, token)

    def abort(self, token):
        return self._call(self._worker.abort, token)

    def next_events(self, wait_seconds, after=-1, settled=-1):
        return self._call(self._worker.next_events, wait_seconds, after, settled)

    def kill(self):
        self._worker.close()


class ThreadCluster:
    """Has `chips` cores. opened: every worker that it was asked for."""

    is_own = True

    def __init__(self, chips):
        self.chips, self.pool, self.opened = chips, ThreadPoolExecutor(), []

    def check(self):
        pass

    def capacity(self, request):
        if request.chips > self.chips:
            raise ClusterError(f"a run needs {request.name}; there are {self.chips}")
        return self.chips

    def draining(self):
        return set()

    def new_worker(self, request, *, owner):
        self.opened.append(ThreadWorker(self, request, owner))
        return self.opened[-1]

    def find_worker(self, name):
        return None

    def close(self, workers, meanwhile=lambda: None):
        for worker in workers:
            worker.kill()

    def ready(self, references, seconds):
        return list(wait(references, timeout=seconds, return_when=FIRST_COMPLETED).done) if references else []

    def answer(self, reference):
        return reference.result()
