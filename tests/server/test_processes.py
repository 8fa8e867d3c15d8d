"""Heavy work runs beside the server: it answers meanwhile, and ends the work when it stops."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from featx.errors import FeatxError
from featx.server.processes import Processes
from tests.server.child_work import endless, sum_of


def test_work_is_done_in_another_process_whose_progress_result_and_error_come_back_and_which_ends_with_the_server():
    processes, seen = Processes(), []
    process, total = processes.run(sum_of, 1, 2, progress=lambda done, of: seen.append((done, of)))
    assert process != os.getpid() and total == 3 and seen == [(1, 2), (2, 2)]
    with pytest.raises(FeatxError, match="-1 is negative"):
        processes.run(sum_of, -1, progress=lambda done, of: None)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(processes.run, endless, progress=lambda done, of: processes.stop())
        with pytest.raises(FeatxError, match="ended early"):
            running.result(60)
    with pytest.raises(FeatxError, match="ended early"):
        processes.run(sum_of, 1, progress=lambda done, of: None)


@pytest.mark.long
def test_a_server_finds_the_same_in_processes_of_their_own(serve):
    from tests.server.test_review import worked

    found = []
    for own in (False, True):
        served = serve(own_processes=own)
        headers = served.as_program("read", name=f"program {own}")
        paths = ("/v1/review", "/v1/review?queue=doubts", "/v1/duplicates", "/v1/map")
        answers = [worked(served, path, headers) for path in paths]
        found.append([*answers, served.client.get("/v1/map/points", headers=headers).content])
    assert found[0] == found[1]
