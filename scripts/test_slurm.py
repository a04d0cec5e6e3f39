#!/usr/bin/env python3
"""Proves samtune sweep submit on a real Slurm: make test-slurm.

A cluster of two nodes is made on this machine from Debian's packages: munged, slurmctld and two slurmd, all of them
started here, with all that they write in one temporary folder. A sweep of 12 short runs is submitted to it. One task
fails at first, since a file lies in the place of its folder; in the middle one node is lost, its daemon and all that
ran on it killed. The node comes back, every run ends done, and the result files are those that the local engine
writes for the same plan, byte for byte. Whatever happens, all processes are ended and the folder is removed.

Where Slurm is not installed and root runs this on Debian or Ubuntu, it is installed first, and stays.
"""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import tomllib
import traceback
from pathlib import Path

import short_runs
from short_runs import SAMTUNE

PACKAGES = ["slurm-wlm", "munge"]
PROGRAMS = ["munged", "slurmctld", "slurmd", "sbatch", "squeue", "sinfo", "scontrol"]
NODES = ["node1", "node2"]
RUNS, LONGEST = 12, 1800  # seconds until the whole test gives up

SETTINGS = ["views.grid=1", "train.threads=1", *short_runs.SETTINGS]
CLUSTER = """
[engine.slurm]
partition = "main"
time = "10"
cpus = 1
retries = 3
"""

CONF = """
ClusterName=samtune
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
# A task that starts again waits until the permission of its first start has run out.
AuthInfo=socket={dir}/munge.socket,cred_expire=5
CredType=cred/munge
StateSaveLocation={dir}/state
SlurmdSpoolDir={dir}/spool-%n
SlurmctldPidFile={dir}/slurmctld.pid
SlurmdPidFile={dir}/slurmd-%n.pid
SlurmctldLogFile={dir}/slurmctld.log
SlurmdLogFile={dir}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=2,bf_interval=2
MessageTimeout=30
SlurmdTimeout=10
KillWait=5
ReturnToService=2
MpiDefault=none
MailProg=/bin/true
SlurmdParameters=config_overrides
NodeName=node1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=1 RealMemory=2000
NodeName=node2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=1 RealMemory=2000
PartitionName=main Nodes=node1,node2 Default=YES State=UP MaxTime=INFINITE
"""

BEGAN = time.monotonic()


class Failed(Exception):
    """The test failed; the message says why."""


def say(text):
    print(f"{time.monotonic() - BEGAN:6.1f} s  {text}", flush=True)


def call(*command, env=None, timeout=60, cwd=None):
    """Runs a command and returns what it prints."""
    done = subprocess.run([str(c) for c in command], env=env, timeout=timeout, cwd=cwd, capture_output=True, text=True)
    if done.returncode != 0:
        raise Failed(f"{' '.join(str(c) for c in command)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def until(what, seconds, check):
    """Waits until check returns something and returns that."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := check():
            return found
        time.sleep(0.3)
    raise Failed(f"waited {seconds} s in vain until {what}")


def install():
    """Installs Slurm where it is not there."""
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    if all(map(shutil.which, PROGRAMS)):
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise Failed(f"this test needs Slurm and munge: apt-get install {' '.join(PACKAGES)}, as root on Debian or Ubuntu")
    say("installing " + ", ".join(PACKAGES))
    env = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    wait = ["-o", "DPkg::Lock::Timeout=120"]
    call("apt-get", *wait, "update", env=env, timeout=180)
    call("apt-get", *wait, "install", "-y", "--no-install-recommends", *PACKAGES, env=env, timeout=400)


def free_ports(n):
    sockets = [socket.socket() for _ in range(n)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def processes(word):
    """The processes that have this in their environment, their own words before it, with their parents: PID to PID."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if word.encode() in (entry / "environ").read_bytes():
                    found[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                pass  # it ended, or is another user's
    return found


def kill(pids, sig=signal.SIGKILL):
    for pid in pids:
        try:
            os.kill(pid, sig)
        except OSError:
            pass


class Cluster:
    """munged, slurmctld and the nodes' slurmd, in a folder."""

    def __init__(self, folder):
        self.dir, self.daemons, self.env = folder, {}, {}

    def daemon(self, name, *command):
        log = open(self.dir / f"{name}.out", "a")
        self.daemons[name] = subprocess.Popen(command, env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        log.close()

    def start(self):
        self.env = os.environ | {"SLURM_CONF": str(self.dir / "slurm.conf")}
        self.dir.chmod(0o755)  # munged refuses others
        key = self.dir / "munge.key"
        key.touch(0o600)
        key.write_bytes(os.urandom(128))
        self.daemon("munged", "munged", "--foreground", f"--key-file={key}", "--num-threads=2",
                    *[f"--{what}={self.dir}/munge.{end}" for what, end in [("socket", "socket"), ("pid-file", "pid"), ("log-file", "log"), ("seed-file", "seed")]])
        until("munged listens", 20, (self.dir / "munge.socket").exists)
        user = call("id", "-un").strip()
        (self.dir / "slurm.conf").write_text(CONF.format(host=socket.gethostname().split(".")[0], user=user, dir=self.dir, ports=free_ports(3)))
        (self.dir / "state").mkdir()
        self.daemon("slurmctld", "slurmctld", "-D")
        for node in NODES:
            self.start_node(node)
        until("both nodes are idle", 40, lambda: self.states() == ["idle", "idle"])

    def start_node(self, node):
        (self.dir / f"spool-{node}").mkdir(exist_ok=True)
        self.daemon(node, "slurmd", "-D", "-N", node)

    def states(self):
        answer = subprocess.run(["sinfo", "--noheader", "--Node", "--format=%T"], env=self.env, timeout=30, capture_output=True, text=True)
        return answer.stdout.split()  # nothing while slurmctld does not answer yet

    def queue(self):
        """Tasks in the queue as (task, state, node)."""
        lines = call("squeue", "--noheader", "--array", "--format=%i|%T|%N|%j", env=self.env).splitlines()
        return [line.split("|") for line in lines]

    def lose(self, node):
        """Kills the node's daemon and then all that runs on it: what a power cut does."""
        daemon = self.daemons.pop(node)
        daemon.kill()
        daemon.wait()
        tasks = processes(f"SLURMD_NODENAME={node}\0")
        mine = processes(str(self.dir))
        kill(set(tasks.values()) & set(mine))  # first each slurmstepd, which would still report how its task ended
        kill(tasks)

    def stop(self):
        for name in ["node1", "node2", "slurmctld", "munged"]:
            if daemon := self.daemons.pop(name, None):
                daemon.terminate()
                try:
                    daemon.wait(5)
                except subprocess.TimeoutExpired:
                    daemon.kill()
                    daemon.wait()
        for _ in range(50):
            if not (left := processes(str(self.dir))):
                break
            kill(left)
            time.sleep(0.1)


def plan(folder, cache, config, work):
    eyes = work / "eyes.toml"  # few pictures are tested, so that a run takes seconds
    eyes.write_text('name = "eyes"\ntask = "retinal vessels"\ntargets = ["vessels"]\nengine = "fundus"\npool = 8\ntest = 3\n')
    call(SAMTUNE, "sweep", "plan", "--benchmark", eyes, "--decoders", "plain", "--shots", "1,3", "--seeds", RUNS // 2, "--encode-tasks", 2,
         "--config", config, "--cache", cache, "--out", folder, *short_runs.sets(SETTINGS), cwd=work, timeout=120)
    rows = tomllib.loads((folder / "plan.toml").read_text())["run"]
    if len(rows) != RUNS:
        raise Failed(f"the plan has {len(rows)} runs, want {RUNS}")
    return rows


def task_log(folder, index):
    """What a training task has written, over all its starts."""
    return "".join(p.read_text(errors="replace") for p in folder.glob(f"slurm/train_*_{index}.log"))


def result_files(run):
    """The files of a run that hold its result, as bytes."""
    found = {name: path.read_bytes() for name, path in short_runs.result_files(run).items()}
    for name in ["per_case.csv", "split.toml", "train.jsonl"]:
        if name not in found:
            raise Failed(f"{run} has no {name}")
    if not any(name.endswith(".safetensors") for name in found):
        raise Failed(f"{run} has no weights")
    return found


def test(work, cluster):
    config = work / "cluster.toml"
    config.write_text(CLUSTER)
    sweep, local = work / "sweep on Slurm, 100%", work / "sweep here"
    rows = plan(sweep, work / "cache of Slurm", config, work)
    plan(local, work / "cache here", config, work)
    say(f"two plans of the same {RUNS} runs")

    failing = rows[1]
    obstacle = sweep / failing["dir"]
    obstacle.parent.mkdir(exist_ok=True)
    obstacle.write_text("in the way")

    cluster.start()
    say("munged, slurmctld and two slurmd are up")
    print(call(SAMTUNE, "sweep", "submit", sweep, "--engine", "slurm", env=cluster.env), end="")
    again = subprocess.run([SAMTUNE, "sweep", "submit", sweep, "--engine", "slurm"], env=cluster.env, capture_output=True, text=True, timeout=60)
    if again.returncode == 0 or "still queued" not in again.stderr:
        raise Failed(f"submitted a second time: exit code {again.returncode}, {again.stderr}")

    until("the encode stage is over", 300, lambda: not [t for t in cluster.queue() if t[3] == "samtune-encode"])
    say("encoded by " + " and ".join(sorted({n for p in sweep.glob("slurm/encode_*.log") for n in re.findall(r"on (node\d)", p.read_text())})))
    until("a task fails", 200, lambda: "starts again" in task_log(sweep, failing["index"]))
    obstacle.unlink()
    say(f"task {failing['index']} has failed as it should, the cause is gone")

    def in_training():
        """A task on node2 that is in the middle of its steps, far from their end."""
        for task, state, node, _ in cluster.queue():
            index = int(task.rpartition("_")[2])
            steps = [int(path.name[5:]) for path in (sweep / rows[index]["dir"]).glob("checkpoints/plain/step-??????")]
            if (state, node) == ("RUNNING", "node2") and steps and max(steps) <= 8:
                return index
        return None

    lost = until("node2 is in the middle of a run", 200, in_training)
    cluster.lose("node2")
    if (sweep / rows[lost]["dir"] / "results.json").exists():
        raise Failed(f"run {lost} was over before its node was lost")
    say(f"node2 is lost in the middle of run {lost}")
    until("Slurm sees that", 90, lambda: "down" in "".join(cluster.states()))
    say("Slurm has noticed")
    cluster.start_node("node2")
    until("node2 is back", 60, lambda: "down" not in "".join(cluster.states()))
    say("node2 is back")
    until("the queue is empty", 700, lambda: not cluster.queue())

    status = json.loads(call(SAMTUNE, "sweep", "status", sweep, "--json"))
    if status["done"] != RUNS:
        raise Failed(f"{status['done']} of {RUNS} runs are done:\n" + call(SAMTUNE, "sweep", "status", sweep, "--all"))
    logs = {row["index"]: task_log(sweep, row["index"]) for row in rows}
    for index in [lost, failing["index"]]:
        if ", start 2" not in logs[index]:
            raise Failed(f"task {index} did not start a second time:\n{logs[index]}")
    nodes = {node: sum(f"on {node}," in log for log in logs.values()) for node in NODES}
    if not all(nodes.values()):
        raise Failed(f"the tasks were not on both nodes: {nodes}")
    say(f"all {RUNS} runs are done: {nodes['node1']} tasks were on node1, {nodes['node2']} on node2, counting those that moved on both")
    answer = call(SAMTUNE, "sweep", "submit", sweep, "--engine", "slurm", env=cluster.env)
    if "done" not in answer or cluster.queue():
        raise Failed(f"a sweep that is done was submitted again: {answer}")

    call(SAMTUNE, "sweep", "run", local, "--jobs", 2, timeout=700)
    files = 0
    for row in rows:
        here, there = result_files(local / row["dir"]), result_files(sweep / row["dir"])
        if different := [name for name in here.keys() | there.keys() if here.get(name) != there.get(name)]:
            raise Failed(f"run {row['index']}: the local engine's {', '.join(sorted(different))} differ")
        files += len(here)
    say(f"the local engine writes the same: {files} result files of {RUNS} runs, byte for byte")


def show_logs(work):
    """The ends of all logs, for whoever looks for the cause."""
    for path in sorted([*work.rglob("*.log"), *work.rglob("*.out")]):
        if tail := path.read_text(errors="replace").splitlines()[-25:]:
            print(f"--- {path}", *tail, sep="\n", file=sys.stderr)


def interrupted(number, _):
    signal.alarm(0)
    raise Failed(f"it takes longer than {LONGEST} s" if number == signal.SIGALRM else "interrupted")


def main():
    for sig in [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM]:
        signal.signal(sig, interrupted)
    signal.alarm(LONGEST)
    work = Path(tempfile.mkdtemp(prefix="samtune-slurm-"))
    cluster = Cluster(work)
    try:
        install()
        os.environ["SAMTUNE_TEST_SLURM"] = str(work)  # by which all processes of the test are found
        test(work, cluster)
    except Exception as problem:
        if not isinstance(problem, Failed):
            traceback.print_exc()
        print(f"test-slurm: {problem}", file=sys.stderr)
        show_logs(work)
        return 1
    finally:
        for sig in [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]:
            signal.signal(sig, signal.SIG_IGN)  # the end is not left half done
        cluster.stop()
        shutil.rmtree(work, ignore_errors=True)
    say("done, and all processes and files of the test are gone")
    return 0


if __name__ == "__main__":
    sys.exit(main())
