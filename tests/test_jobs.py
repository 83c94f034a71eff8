"""utils/run.py: Kaldi's job contract, and no job that outlives it."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest
from conftest import ROOT, load_script

from chronovox import jobs
from chronovox.cli import UserError, parser
from chronovox.clusterconf import ClusterConf

RUN = str(ROOT / "utils/run.py")


@pytest.fixture
def run(tmp_path):
    """Run utils/run.py in tmp_path and check its exit code."""

    def call(*words, code=0, **environment):
        done = subprocess.run(
            [sys.executable, RUN, *map(str, words)], cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT / "steps"), **environment},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stderr
        return done

    return call


def parse(*words):
    test_parser = parser("test")
    jobs.add_options(test_parser)
    return jobs.parse(test_parser, list(words))


def test_the_number_is_put_into_log_and_every_word():
    args, task = parse(
        "--mem", "4G", "N=3:4", "--gpu", "1", "log/x.N.log", "a", "-N", "N.N"
    )
    assert (args.mem, args.gpu, args.num_threads) == ("4G", 1, 1)
    assert list(task.numbers) == [3, 4]
    assert task.argv(4) == ["a", "-4", "4.4"]
    assert str(task.log_path(3)) == "log/x.3.log"
    assert task.all_logs() == "log/x.*.log"


def test_without_a_number_there_is_one_job_and_nothing_is_replaced():
    _, task = parse("x.log", "echo", "JOB", "--mem", "A=1:2")
    assert list(task.numbers) == [1]
    assert task.argv(1) == ["echo", "JOB", "--mem", "A=1:2"]


def test_words_meant_for_a_shell_and_only_these_are_left_unquoted():
    _, task = parse("x.log", "cat", "a b", "|", "grep", "x|y", ">", "$HOME")
    assert task.argv(1) == [
        "bash", "-c", "set -o pipefail; cat 'a b' | grep 'x|y' > '$HOME'"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["JOB=0:2", "JOB.log", "true"], "1 <= first <= last, got '0:2'"),
        (["JOB=3:2", "JOB.log", "true"], "got '3:2'"),
        (["JOB=1:", "JOB.log", "true"], "got '1:'"),
        (["JOB=1:2", "x.log", "true"], "2 jobs need JOB in the log's name: x.log"),
        (["x.log"], "give a log and a command"),
        (["--mem"], "expected one argument"),
        (["--mem", "lots", "x.log", "true"], "expected a size such as 4G"),
        (["--threads", "2", "x.log", "true"], "unrecognized arguments: --threads"),
        (["--mem=4G", "JOB=1:2", "x.JOB.log", "true"], "write '--mem 4G'"),
        (["--pick", "some", "x.log", "true"], "invalid choice: 'some'"),
        (["--num-threads", "0", "x.log", "true"], "expected a number from 1 on"),
    ],
)
def test_usage_errors_exit_with_2(words, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        parse(*words)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_the_log_has_the_form_of_kaldi(run, tmp_path):
    run("--num-threads", "3", "JOB=2:2", "log/deep/x.JOB.log", "echo", "it's JOB")
    text = (tmp_path / "log/deep/x.2.log").read_text()
    date = r"[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d [\d:]{8} \S+ \d{4}"
    assert re.fullmatch(
        rf"""# echo 'it'"'"'s 2'
# Started at {date}
#
it's 2
# Accounting: time=\d+ threads=3
# Ended \(code 0\) at {date}, elapsed time \d+ seconds
""",
        text,
    ), text


def test_a_log_is_overwritten_not_appended_to(run, tmp_path):
    for text in ("first", "second"):
        run("x.log", "echo", text)
    assert "first" not in (tmp_path / "x.log").read_text()


def test_pipes_and_redirections_work_and_fail_as_a_whole(run, tmp_path):
    run("x.log", "printf", r"b\na\n", "|", "sort", ">", "out put")
    assert (tmp_path / "out put").read_text() == "a\nb\n"
    run("x.log", "false", "|", "cat", code=1)


def test_stdout_and_stderr_go_to_the_log_and_stdin_is_empty(run, tmp_path):
    done = run("x.log", "bash", "-c", "echo out; echo err >&2; cat; exit 0")
    assert (done.stdout, done.stderr) == ("", "")
    text = (tmp_path / "x.log").read_text()
    assert "\nout\nerr\n# Acc" in text


def test_a_failed_job_is_named_with_the_end_of_its_log(run, tmp_path):
    script = "for i in $(seq 40); do echo line $i; done; exit $((JOB % 2 * 7))"
    done = run("JOB=1:4", "log/x.JOB.log", "bash", "-c", script, code=1)
    assert "job 1 failed with code 7, its log is log/x.1.log" in done.stderr
    assert "job 3 failed with code 7" in done.stderr
    assert "job 2" not in done.stderr
    assert "2 / 4 failed, log is in log/x.*.log" in done.stderr
    assert "  line 40\n" in done.stderr and "line 20\n" not in done.stderr
    for number, code in enumerate((7, 0, 7, 0), 1):
        text = (tmp_path / f"log/x.{number}.log").read_text()
        assert f"# Ended (code {code}) at " in text


def test_codes_of_signals_and_of_what_cannot_be_started(run, tmp_path):
    (tmp_path / "data.txt").write_text("no program\n")
    for words, code, text in (
        (["bash", "-c", "kill -9 $$"], 137, ""),
        (["./no_such_program"], 127, "./no_such_program: No such file"),
        (["./data.txt"], 126, "./data.txt: Permission denied"),
    ):
        done = run("x.log", *words, code=1)
        assert f"job 1 failed with code {code}" in done.stderr
        assert "1 / 1 failed, log is in x.log" in done.stderr
        log = (tmp_path / "x.log").read_text()
        assert f"(code {code})" in log and text in log


def test_what_cannot_be_started_is_named_with_its_number(run, tmp_path):
    run("JOB=2:2", "x.JOB.log", "./no_JOB", code=1)
    assert "\n./no_2: No such file" in (tmp_path / "x.2.log").read_text()


@pytest.mark.parametrize(
    ("which", "again"), [("all", "1234"), ("failed", "2"), ("incomplete", "34")]
)
def test_pick_runs_only_the_jobs_that_are_so(run, tmp_path, which, again):
    logs = [tmp_path / f"x.{number}.log" for number in range(1, 5)]
    words = (
        "JOB=1:4",
        "x.JOB.log",
        "bash",
        "-c",
        "echo JOB >> ran; exit $((JOB == 2))",
    )
    run(*words, code=1)
    # The third was killed in a second attempt, the fourth has not begun.
    logs[2].write_text("# x\n# Started at noon\n#\nit said: # Ended (code 1) at\n")
    logs[3].unlink()
    (tmp_path / "ran").unlink()
    done = run("--pick", which, *words, code=int("2" in again))
    assert "".join(sorted((tmp_path / "ran").read_text().split())) == again
    said = f"{len(again)} of 4 jobs are {which} and are run"
    assert (said in done.stderr) == (which != "all")


def test_picking_takes_the_last_end_of_a_log(tmp_path):
    task = jobs.Task("J", range(1, 3), str(tmp_path / "x.J.log"), ("true",))
    ends = [jobs.footer(code, 1.0, 1) for code in (85, 0)]
    task.log_path(1).write_text("".join(ends))
    task.log_path(2).write_text("".join(ends[::-1]))
    assert list(jobs.pick("test", task, "failed").numbers) == [2]
    assert list(jobs.pick("test", task, "incomplete").numbers) == []


def test_code_85_asks_to_be_run_again(run, tmp_path):
    script = "echo try JOB >> tried.JOB; sleep 1.1; [ $(wc -l < tried.JOB) = 3 ] || "
    run("JOB=1:2", "x.JOB.log", "bash", "-c", f"{script} exit 85")
    for number in (1, 2):
        text = (tmp_path / f"x.{number}.log").read_text()
        codes = re.findall(r"# (?:Run again: attempt|Ended \(code) (\d+)", text)
        assert codes == ["85", "2", "85", "3", "0"]


def test_code_85_at_once_is_a_failure(run, tmp_path):
    done = run("x.log", "bash", "-c", "exit 85", code=1)
    assert "job 1 failed with code 85" in done.stderr
    assert (tmp_path / "x.log").read_text().count("# Started") == 1


def test_a_job_that_is_ended_is_not_run_again(tmp_path):
    script = "trap 'exit 85' TERM; sleep 1.1; touch here; while :; do sleep 0.1; done"
    process = subprocess.Popen(
        [sys.executable, RUN, "x.log", "bash", "-c", script], cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT / "steps")},
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while not (tmp_path / "here").exists():
        time.sleep(0.01)
    process.terminate()
    assert process.wait(timeout=20) == 143
    text = (tmp_path / "x.log").read_text()
    assert "# Ended (code 85)" in text and text.count("# Started") == 1


def test_without_its_guard_it_goes_on(tmp_path):
    process, pids = start_lasting(tmp_path)
    task = f"/proc/{process.pid}/task/{process.pid}/children"
    with open(task) as stream:
        (guard,) = {int(pid) for pid in stream.read().split()} - set(pids)
    os.kill(guard, signal.SIGKILL)
    for pid in pids[2:]:
        os.kill(pid, signal.SIGKILL)
    _, stderr = process.communicate(timeout=20)
    assert (process.returncode, stderr) == (0, "")


def cluster_conf(tmp_path, *lines) -> ClusterConf:
    path = tmp_path / "c.conf"
    path.write_text("".join(f"{line}\n" for line in lines))
    return ClusterConf(path)


def test_a_cluster_s_options_become_words_of_its_command(tmp_path):
    conf = cluster_conf(
        tmp_path, "# a comment", "command sbatch 'a b' # another", "option gpu=0",
        "option gpu=* --gres=gpu:$0 --on '$0 $HOME'", "option mem=* --mem=$0", "",
        "default gpu=1", "default mem=2G", "option node_list=* -w $0",
    )  # fmt: skip

    def command(*words):
        test_parser = parser("test")
        jobs.add_options(test_parser)
        test_parser.set_defaults(gpu=None, num_threads=None)
        args, _ = jobs.parse(test_parser, [*words, "x.log", "true"], conf)
        return conf.words(test_parser, conf.values(args))

    start = ["sbatch", "a b"]
    assert command() == [*start, "--gres=gpu:1", "--on", "1 $HOME", "--mem=2G"]
    words = command("--mem", "3G", "--gpu", "0", "--node-list", "n1; rm x")
    assert words == [*start, "--mem=3G", "-w", "n1; rm x"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("command", "c.conf:2: 'command': expected 'command PROGRAM'"),
        ("option gpu", "'gpu' is not NAME=VALUE"),
        ("option 2x=1", "'2x=1' is not NAME=VALUE"),
        ("default gpu=1 --x", "c.conf:2: 'default gpu=1 --x'"),
        ("options gpu=1", "c.conf:2: 'options gpu=1'"),
        ("option gpu=* '", "No closing quotation"),
    ],
)
def test_a_cluster_s_file_names_its_wrong_line(tmp_path, line, message):
    with pytest.raises(UserError, match=re.escape(message)):
        cluster_conf(tmp_path, "command sbatch", line)


def test_a_cluster_s_file_needs_a_command(tmp_path):
    with pytest.raises(UserError, match="has no line 'command PROGRAM"):
        cluster_conf(tmp_path, "option gpu=*")
    with pytest.raises(UserError, match="no such file: see --config"):
        ClusterConf(tmp_path / "no.conf")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--gpu", "1"], "c.conf:3: takes gpu=0, gpu=2, not gpu=1"),
        (["--mem", "1G"], "c.conf: has no line 'option mem=1G WORDS'"),
        (["--queue", "q"], "arguments: --queue (c.conf has lines for gpu, qos)"),
    ],
)
def test_what_a_cluster_s_file_has_no_line_for_is_a_usage_error(
    tmp_path, monkeypatch, capsys, words, message
):
    """utils/slurm.py finds the file named by --config, or conf/slurm.conf."""
    monkeypatch.chdir(tmp_path)
    lines = ("command sbatch", "option gpu=0", "option gpu=2", "option qos=* --q $0")
    cluster_conf(tmp_path, *lines)
    main = load_script("utils/slurm.py").main
    with pytest.raises(SystemExit) as stopped:
        main(["--config", "c.conf", *words, "x.log", "cat", "--config", "y"])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err
    (tmp_path / "conf").mkdir()
    (tmp_path / "c.conf").rename(tmp_path / "conf/slurm.conf")
    with pytest.raises(SystemExit):
        main([*words, "x.log", "true"])
    assert message.replace("c.conf", "conf/slurm.conf") in capsys.readouterr().err


def test_where_slurm_is_missing_slurm_py_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        UserError, match="no such program: sbatch, squeue, .*utils/run.py"
    ):
        load_script("utils/slurm.py").main(["--partition", "p", "x.log", "true"])
    assert not list(tmp_path.iterdir())


def test_threads_and_gpus_are_told_to_the_jobs(run, tmp_path):
    script = "echo $OMP_NUM_THREADS $MKL_NUM_THREADS $CUDA_VISIBLE_DEVICES"
    run("--num-threads", "3", "x.log", "bash", "-c", script, CUDA_VISIBLE_DEVICES="4,6")
    assert "\n3 3 4,6\n" in (tmp_path / "x.log").read_text()
    run("--gpu", "1", "JOB=1:2", "x.JOB.log", "bash", "-c", f"{script}; sleep 0.3",
        CUDA_VISIBLE_DEVICES="4,6")  # fmt: skip
    logs = [(tmp_path / f"x.{n}.log").read_text() for n in (1, 2)]
    assert "\n1 1 4\n" in logs[0] and "\n1 1 6\n" in logs[1]


def test_a_job_gets_as_many_gpus_as_it_asks_for(run, tmp_path):
    words = ["--gpu", "2", "JOB=1:3", "x.JOB.log", "bash", "-c"]
    script = "echo GPU=$CUDA_VISIBLE_DEVICES; sleep 0.3"
    run(*words, script, CUDA_VISIBLE_DEVICES="1,4,6,7,8")
    logs = [(tmp_path / f"x.{n}.log").read_text() for n in (1, 2, 3)]
    assert "\nGPU=1,4\n" in logs[0] and "\nGPU=6,7\n" in logs[1]
    assert "\nGPU=1,4\n" in logs[2] or "\nGPU=6,7\n" in logs[2]
    done = run(*words, script, code=1, CUDA_VISIBLE_DEVICES="1")
    assert "--gpu 2: this machine has 1" in done.stderr


def test_without_a_choice_every_gpu_of_nvidia_smi_takes_a_job(run, tmp_path):
    program = tmp_path / "bin/nvidia-smi"
    program.parent.mkdir()
    program.write_text(
        "#!/bin/sh\nprintf 'GPU 0: H (UUID: x)\\n  MIG 1g\\nGPU 1: H\\n'\n"
    )
    program.chmod(0o755)
    script = "echo GPU=$CUDA_VISIBLE_DEVICES; mkdir run.JOB; "
    script += "ls -d run.* 2> /dev/null | wc -l; sleep 0.2; rmdir run.JOB"
    path = f"{program.parent}:{os.environ['PATH']}"
    words = ["env", "-u", "CUDA_VISIBLE_DEVICES", sys.executable, RUN, "--gpu", "1"]
    subprocess.run(
        [*words, "JOB=1:4", "x.JOB.log", "bash", "-c", script],
        cwd=tmp_path, check=True,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT / "steps")},
    )  # fmt: skip
    logs = [(tmp_path / f"x.{n}.log").read_text().splitlines() for n in range(1, 5)]
    assert {log[3] for log in logs} == {"GPU=0", "GPU=1"}
    assert max(int(log[4]) for log in logs) == 2


@pytest.mark.parametrize(
    ("options", "most"), [(["--max-jobs-run", "3"], 3), ([], None)]
)
def test_no_more_jobs_at_once_than_allowed(run, tmp_path, options, most):
    most = most or len(os.sched_getaffinity(0))
    script = "mkdir run.JOB; ls -d run.* 2> /dev/null | wc -l; sleep 0.1; rmdir run.JOB"
    run(*options, "JOB=1:8", "x.JOB.log", "bash", "-c", script)
    counts = [
        int((tmp_path / f"x.{n}.log").read_text().splitlines()[3]) for n in range(1, 9)
    ]
    assert max(counts) == min(most, 8)


# A job whose shell has a child that lives on by itself, as `python3 x | gzip` has.
LASTING = "echo $$ > pid.JOB; sleep 300 & echo $! > child.JOB; wait"


def start_lasting(tmp_path, *words):
    """Start run.py on two jobs that last; returns it and the four processes."""
    process = subprocess.Popen(
        [*words, sys.executable, RUN, "--max-jobs-run", "2", "JOB=1:2", "x.JOB.log",
         "bash", "-c", LASTING],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT / "steps")},
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    names = ["pid.1", "pid.2", "child.1", "child.2"]
    deadline = time.monotonic() + 20
    while not all(
        (tmp_path / n).exists() and (tmp_path / n).read_text() for n in names
    ):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.01)
    return process, [int((tmp_path / name).read_text()) for name in names]


def is_alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stream:
            return stream.read().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def assert_all_end(pids) -> None:
    deadline = time.monotonic() + 10
    while any(map(is_alive, pids)):
        assert time.monotonic() < deadline, (
            f"still there: {list(filter(is_alive, pids))}"
        )
        time.sleep(0.01)


def test_killed_with_9_it_leaves_no_job_running(tmp_path):
    process, pids = start_lasting(tmp_path)
    process.kill()
    process.wait()
    assert_all_end(pids)


@pytest.mark.parametrize(
    ("kind", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)],
)
def test_a_signal_ends_the_jobs_and_is_the_exit_code(tmp_path, kind, code):
    process, pids = start_lasting(tmp_path)
    process.send_signal(kind)
    _, stderr = process.communicate(timeout=20)
    assert process.returncode == code
    assert_all_end(pids)
    assert f"{kind.name}: ending 2 jobs" in stderr
    assert "# Ended (code 143)" in (tmp_path / "x.1.log").read_text()


def test_jobs_that_ignore_sigterm_are_killed(tmp_path):
    process = subprocess.Popen(
        [sys.executable, RUN, "x.log", "bash", "-c",
         "trap '' TERM; echo $$ > pid; sleep 300 & wait"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT / "steps")},
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        time.sleep(0.01)
    process.terminate()
    assert process.wait(timeout=20) == 143
    assert "# Ended (code 137)" in (tmp_path / "x.log").read_text()


def test_stopped_and_continued_it_goes_on(tmp_path):
    process, pids = start_lasting(tmp_path)
    for _ in range(3):
        process.send_signal(signal.SIGSTOP)
        time.sleep(1.5)  # longer than it waits for a signal at a time
        process.send_signal(signal.SIGCONT)
        time.sleep(0.2)
    assert process.poll() is None and all(map(is_alive, pids))
    process.terminate()
    process.communicate(timeout=20)
    assert process.returncode == 143
    assert_all_end(pids)


def test_under_nohup_a_hangup_ends_nothing(tmp_path):
    process, pids = start_lasting(tmp_path, "nohup")
    process.send_signal(signal.SIGHUP)
    time.sleep(0.3)
    assert process.poll() is None and all(map(is_alive, pids))
    process.terminate()
    process.communicate(timeout=20)
    assert_all_end(pids)


@pytest.mark.parametrize("last", ["9" * 20, "9" * 5000, "99999999"])
def test_more_jobs_than_any_queue_takes_are_a_usage_error(capsys, last):
    with pytest.raises(SystemExit) as error:
        parse(f"JOB=1:{last}", "JOB.log", "true")
    assert error.value.code == 2
    assert "expected first:last" in capsys.readouterr().err


def test_a_cluster_s_file_that_is_no_text_or_redefines_help_is_named(tmp_path):
    with pytest.raises(UserError, match="'help=1' is not NAME=VALUE"):
        cluster_conf(tmp_path, "command sbatch", "option help=1")
    (tmp_path / "x.conf").write_bytes(b"command \xff\n")
    with pytest.raises(UserError, match="x.conf: not UTF-8 text"):
        ClusterConf(tmp_path / "x.conf")


def test_a_default_number_of_threads_that_is_none_is_a_usage_error(tmp_path, capsys):
    lines = "command sbatch\noption num_threads=* -c $0\ndefault num_threads=x\n"
    (tmp_path / "x.conf").write_text(lines)
    words = ["--config", str(tmp_path / "x.conf"), "x.log", "true"]
    with pytest.raises(SystemExit) as error:
        load_script("utils/slurm.py").main(words)
    assert error.value.code == 2
    assert "expected a number from 1 on, got 'x'" in capsys.readouterr().err


def test_a_line_of_a_megabyte_in_a_cluster_s_file_is_refused_at_once(tmp_path):
    begin = time.monotonic()
    with pytest.raises(UserError, match="c.conf:2: .*too long"):
        cluster_conf(tmp_path, "command sbatch", "option a=" + "x" * 2**20)
    assert time.monotonic() - begin < 5
