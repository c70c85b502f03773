#!/usr/bin/python
# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: engine
version_added: "0.1.0"
short_description: Serve a model from a container on a host
author: inference.fleet contributors (@inference-fleet)
description:
  - Owns one engine container on a host, from its image to an endpoint that serves.
  - A container that is as wanted is never touched. The wanted and the observed container are compared
    field by field, after what the image and the daemon fill in is taken off both sides.
  - A new container takes the old one's place only when its image is there. The old one is kept, stopped,
    until the new one serves. If that never happens, the old one is started again, and the module fails with the reason.
  - A run that was cut off leaves a state that the next run recognises and finishes.
  - Its own containers, and what part each plays, the module tells by their labels. A container that it did not make is
    never touched, whatever it is called.
  - A host may have several engines, each in a slot with its own O(port) and O(gpus). One that would share a port or a
    GPU with another that runs is refused before anything is stopped.
requirements:
  - Docker SDK for Python 5.0.3 or newer, on the host
  - Docker Engine 20.10 or newer, on the host
  - root on the host, for the daemon's socket and for files of mode 0600 (use C(become))
extends_documentation_fragment: inference.fleet.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  state:
    description:
      - V(present) - the container is as wanted, runs, and its endpoint serves.
      - V(restarted) - the same, and the engine was started anew.
      - V(stopped) - the container is kept and does not run.
      - V(prefetched) - the image and the weights are on the host. No container is made or touched.
      - V(absent) - no engine in this slot, with its secret files. Without O(slot) and O(container_name) only one that
        has the name of O(served_model_name).
    type: str
    choices: [present, stopped, restarted, prefetched, absent]
    default: present
  engine:
    description: The inference engine.
    type: str
    choices: [vllm, sglang, simulator]
    default: vllm
  model:
    description:
      - The model, by its name in the catalogue, by its name on the hub, or by its directory inside the container.
      - What the catalogue has of it holds where no option says otherwise - parallel sizes, parsers, arguments,
        environment. M(inference.fleet.model_info) lists it.
    type: str
    default: Qwen/Qwen3-Coder-Next
  catalogue:
    description:
      - A directory of the control host with models of the user's own, one YAML file each. One that is called like one
        of the collection's takes its place.
    type: str
  served_model_name:
    description:
      - The name under which the endpoint serves the model.
      - Where it is not given, that of the catalogue, else the last part of the name of O(model), in small letters.
    type: str
  served_model_aliases:
    description: More names under which the endpoint serves the model. SGLang has no more than one.
    type: list
    elements: str
    default: []
  revision:
    description: The model's revision on the hub, a branch, a tag or a commit. The hub's default where it is not given.
    type: str
  trust_remote_code:
    description:
      - Whether the engine may run code that the model's repository on the hub has.
      - V(true) where it is not given and the model's page asks for it, as that of C(Qwen/Qwen3-Coder-Next) does, else
        V(false). An engine that runs with it from an earlier release is not replaced for that.
      - Where it is on, a new container with no commit as O(revision) is warned of.
    type: bool
  slot:
    description:
      - The engine's place on the host, by a name of the user's. It keeps its place whatever model serves there. Another
        O(model), O(served_model_name) or O(engine) in the same slot is swapped for the one that serves there, which
        comes back where the new one fails.
      - O(container_name) where it is not given, and without that O(port).
    type: str
  container_name:
    description: The container's name. O(served_model_name) where it is not given.
    type: str
  image:
    description: The image, by tag, by digest, or by both. The engine's own latest image where it is not given.
    type: str
  pull:
    description:
      - V(missing) - pull an image that is not on the host. A tag that moved in the registry is no difference.
      - V(always) - follow the tag. The registry is asked for its digest, and a new digest replaces the container.
      - V(never) - take only what is on the host.
    type: str
    choices: [missing, always, never]
    default: missing
  registry_username:
    description: Who asks the registry of the image, together with O(registry_password).
    type: str
  registry_password:
    description:
      - The password or token of O(registry_username). Docker sends it to the registry of O(image) alone, and it is kept
        nowhere. What C(docker login) left for root on the host is used where it is not given.
    type: str
  preflight:
    description:
      - What to do where the host could not serve the engine, found before anything is downloaded or stopped. GPUs that
        are sick or that somebody else uses, too little memory for the weights, parallel sizes that the model does not
        allow, too little disk, a port that is taken, a driver that is too old for the image.
      - V(fail) names all of it in one message. V(warn) says it and goes on. V(skip) does not look.
      - What is not known, such as the size of a model that is not on the host, is no reason to fail.
    type: str
    choices: [fail, warn, skip]
    default: fail
  prefetch:
    description:
      - Whether a model of the hub is downloaded into O(cache_dir) before the old engine stops, at the same time as the
        image is pulled. An upgrade's outage is then the time that the engine takes to load.
      - C(huggingface_hub) does it, in a virtual environment of its own on the host,
        C(/var/lib/inference.fleet/venvs/huggingface_hub). Where that cannot be installed, the module warns and leaves
        the download to the engine.
      - Nothing is asked of the hub where the weights are complete in O(cache_dir).
    type: bool
    default: true
  port:
    description: The port of the endpoint.
    type: int
    default: 8000
  bind_address:
    description:
      - The address of the host on which the port is published.
      - Any other than loopback needs O(api_key) or O(exposed_without_key).
    type: str
    default: 127.0.0.1
  exposed_without_key:
    description: Whether everybody who reaches O(bind_address) may use the endpoint.
    type: bool
    default: false
  profile:
    description:
      - The hardware shape, such as V(h100x4), V(b200x2) or V(cpu).
      - Taken from the GPUs that are found where it is not given.
    type: str
  tensor_parallel_size:
    description:
      - The number of GPUs among which each layer of the model is divided.
      - Derived from the profile, the model and the other parallel sizes of O(extra_args) where it is not given. The
        engine takes as many GPUs as all of its parallel sizes multiplied.
    type: int
  gpus:
    description:
      - The GPUs of the engine, by index or UUID; of a GPU that MIG divides, the UUID of one part.
      - All of the host's, or as many as the model needs, where it is not given.
    type: list
    elements: str
  replicas:
    description:
      - How many engines serve the model beside each other on the host, as one service. O(gpus), or all of the host's,
        are divided among them evenly, those near each other together, as C(nvidia-smi topo -m) tells. Each takes of its
        share what the model needs. GPUs that do not divide are refused, and so is a model without room in a share.
      - The first is the engine that would be there alone, with its slot, its container's name and O(port). Each other
        one has the next port, its name with C(-2) and so on at the end, and as its slot that port; where O(slot) or
        O(container_name) is given, that with the same end.
      - When there are fewer than before, the others are engines that the task does not name, see O(prune).
      - Where there is no GPU, nothing is divided. They share the host's CPUs and memory, and the module warns of it.
    type: int
    default: 1
  replica:
    description:
      - Which of O(replicas) alone is meant, counted from 1. All are where it is not given.
      - O(slot) and O(container_name) are then its own, while O(port) and O(gpus) are still those of all.
    type: int
  group:
    description:
      - The hosts that serve the model together, and which of them this is. The role
        P(inference.fleet.engine#role) makes it of its C(engine_group), and takes all of them through the stages of a
        deployment.
      - The container has the host's network, and Docker does not start it by itself.
    type: dict
    suboptions:
      rank:
        description: Which of O(group.names) this is, counted from 0, the head.
        type: int
        required: true
      names:
        description: The hosts, by their names in the inventory.
        type: list
        elements: str
        required: true
      addresses:
        description: Where they reach each other, in the order of O(group.names).
        type: list
        elements: str
        required: true
      interface:
        description: The interface by which this host reaches the others. That of its address where it is not given.
        type: str
      port:
        description: The head's port for the other hosts.
        type: int
        default: 29501
      public:
        description: Whether O(group.addresses) may be other than private ones.
        type: bool
        default: false
      firewall:
        description:
          - Whether a table of nftables on the host refuses TCP connections from others than O(group.addresses) to
            O(group.port) and to the ports that the kernel gives out, on which members reach each other. O(port) and
            sshd's stay as they are. Whatever else of the host listens on such a port is closed to others, too.
          - It takes the package nftables. The table goes with the engine.
        type: bool
        default: false
  pipeline_parallel_size:
    description:
      - The number of groups of GPUs among which the model's layers are divided.
      - Where it is not given, that of the catalogue for the engine's GPUs and the model, or of O(extra_args), or 1.
    type: int
  data_parallel_size:
    description:
      - The number of copies of the model in the engine, each on GPUs of its own. Derived like
        O(pipeline_parallel_size).
    type: int
  expert_parallel:
    description:
      - Whether each GPU has whole experts of the model, and not a part of each. Derived like O(pipeline_parallel_size).
      - vLLM spreads experts over the GPUs of all copies, SGLang over those of a tensor parallel group.
    type: bool
  tool_call_parser:
    description: The engine's parser of tool calls. The catalogue's where it is not given, none with V(none).
    type: str
  reasoning_parser:
    description: The engine's parser of reasoning. The catalogue's where it is not given, none with V(none).
    type: str
  speculative_decoding:
    description:
      - Whether to serve the model with the speculative decoding that the catalogue has for it and the engine. What is
        to be known of it is warned of.
    type: bool
    default: false
  task:
    description:
      - What the model is for, from which follows what an endpoint that comes up is asked first.
      - With V(chat) it is a chat completion, with V(completion) a completion, with V(embedding) an embedding. With
        V(rerank) and V(transcription) it is enough that the endpoint lists the model.
      - Told by the model's files where it is not given.
    type: str
    choices: [chat, completion, embedding, rerank, transcription]
  cache_dir:
    description:
      - The host's directory for weights, mounted at C(/root/.cache/huggingface). It is made where it is missing.
      - A leading C(~) is the home of the user that logs in, also under sudo.
      - V(auto) is C(huggingface) on the host's first persistent file system, mounted below C(/lambda/nfs), in a home or
        at C(/data), else that in the home.
    type: str
    default: ~/.cache/huggingface
  compile_cache_dir:
    description:
      - The host's directory for what an engine compiles at its start (vLLM's, SGLang's, FlashInfer's and Triton's
        caches), so that the next start does not do it again. Nothing is kept where it is empty.
    type: str
    default: ~/.cache/inference.fleet
  extra_args:
    description:
      - More arguments for the engine. One that contradicts what an option sets, in full, in short or with C(--no-), is
        refused, and so is one that carries a key or a token.
    type: list
    elements: str
    default: []
  environment:
    description:
      - More environment variables for the engine. One that contradicts what an option sets, such as E(HF_HOME) or
        E(CUDA_VISIBLE_DEVICES), is refused.
      - Secrets do not belong here. E(HF_TOKEN) and E(VLLM_API_KEY) are refused.
    type: dict
    default: {}
  mounts:
    description: More directories or files of the host for the container.
    type: list
    elements: dict
    default: []
    suboptions:
      source:
        description: The path on the host. It is made, as a directory, where it is missing.
        type: path
        required: true
      target:
        description: The path in the container.
        type: str
        required: true
      read_only:
        description: Whether the container may not write there.
        type: bool
        default: true
  start_after_mounts:
    description:
      - Whether Docker, when the host boots, waits for the file systems that the engine mounts, such as that of
        O(cache_dir). Docker's unit gets a drop-in for it, C(inference.fleet-SLOT.conf), where one of them is not the
        root. It takes effect at the next boot, and nothing is restarted or reloaded.
    type: bool
    default: true
  networks:
    description:
      - Networks of Docker's, by name, that the container is attached to beside C(bridge), such as a proxy's. They have
        to be there. A change needs no restart.
      - One that somebody attached by hand is left, and taken over to a new container, without an alias or an address
        that was given there.
    type: list
    elements: str
    default: []
  devices:
    description:
      - Devices of the host for the container, such as V(/dev/infiniband/uverbs0), or as C(PATH:PATH_IN_CONTAINER:rwm).
    type: list
    elements: str
    default: []
  cap_add:
    description: Capabilities that the container has beyond Docker's default, such as V(IPC_LOCK).
    type: list
    elements: str
    default: []
  security_opt:
    description:
      - Security options of the container, such as V(no-new-privileges), or V(seccomp=PATH) with a profile on the host.
    type: list
    elements: str
    default: []
  user:
    description:
      - The user of the container's process, and its group, as C(UID:GID) or by names that the image knows. The image's
        own where it is not given. What the engine mounts below C(/root) has to be within its reach.
    type: str
  labels:
    description: Labels of the container for whoever reads them. None may begin with C(inference.fleet.).
    type: dict
    default: {}
  ipc_mode:
    description: The container's IPC namespace. NCCL wants V(host), or a large O(shm_size).
    type: str
    default: host
  shm_size:
    description:
      - The size of C(/dev/shm) in bytes, or with a unit, such as V(16GiB). The daemon's default where it is not given.
    type: str
  ulimits:
    description:
      - "Limits of the engine's processes by name, such as V(memlock). A limit is a number, soft and hard alike, where
        V(-1) is none, or two numbers, such as V(1024:4096)."
    type: dict
    default: {}
  memory:
    description:
      - The memory that the container may use, in bytes or with a unit, such as V(900GiB), and no swap beside it.
        All of the host's where it is not given. A change needs no restart.
    type: str
  cpus:
    description: The number of CPUs that the container may use. All where it is not given. A change needs no restart.
    type: float
  cpuset_cpus:
    description:
      - The CPUs that the container may use, such as V(0-31). All where it is not given.
      - A change needs no restart.
    type: str
  log:
    description:
      - Where Docker puts the engine's log. A container that is there keeps the log that it has, until this is given.
      - Where it is not given, a new container's log is rotated on the drivers C(json-file) and C(local), at 5 files of
        100 MB.
    type: dict
    suboptions:
      driver:
        description: The log driver. The daemon's own where it is not given.
        type: str
      options:
        description: The driver's options, such as C(max-size). They are added to the daemon's own.
        type: dict
        default: {}
  restart_policy:
    description: What the daemon does when the engine ends. A change needs no restart.
    type: str
    choices: ["no", on-failure, always, unless-stopped]
    default: unless-stopped
  api_key:
    description:
      - The key that clients send as a Bearer token, or as C(x-api-key). It reaches the engine in a file of mode 0600,
        and guards every path but C(/health). A new one takes effect without a restart.
    type: str
  api_keys:
    description:
      - More keys that let a client in, so that one can be replaced while the old one is still in use. Set the new one
        as O(api_key) and the old one here, and take that away when nobody sends it any more.
      - A change takes effect without a restart. The first one replaces an engine that an earlier release made.
    type: list
    elements: str
    default: []
  hf_token:
    description:
      - The Hugging Face token for gated models. It reaches the engine in a file of mode 0600.
      - A new one needs no restart.
    type: str
  simulates:
    description: The published row whose figures O(engine=simulator) follows. vLLM on V(h100x4) where it is not given.
    type: dict
    suboptions:
      engine:
        description: The row's engine.
        type: str
        choices: [vllm, sglang]
        default: vllm
      profile:
        description: The row's hardware.
        type: str
        choices: [b200x2, h100x4, a100x4]
        default: h100x4
  recreate:
    description: Whether to replace the container even where nothing differs.
    type: bool
    default: false
  prune:
    description:
      - Whether engines of the host that are in no slot of the task are removed, once all that it wants serves. One that
        has a port or a GPU that is wanted is stopped before, and started again where the new engine fails.
      - Without it the module warns of them.
    type: bool
    default: false
  remove_images:
    description:
      - With O(state=absent), whether to remove the image of the container too, and every image that the collection
        made on the host. An image that another container uses stays.
    type: bool
    default: false
  warm_up_concurrency:
    description:
      - With a number, an endpoint is ready only when it has answered twice as many requests, this many at once. An
        engine's first requests compile kernels and take up to minutes. Nobody waits for them then.
    type: int
    default: 0
  pull_timeout:
    description: The time that the pull of the image may take, in seconds.
    type: int
    default: 3600
  weights_timeout:
    description: The time that the download of the weights may take, in seconds. What is complete is kept.
    type: int
    default: 7200
  weights_max_rate:
    description:
      - How fast the weights may be downloaded, in MB/s as an average over seconds. V(0) sets no limit.
      - The image's pull cannot be held to a rate, because Docker Engine does it.
    type: float
    default: 0
  start_timeout:
    description: The time that the daemon may take to start the container, in seconds.
    type: int
    default: 120
  ready_timeout:
    description:
      - The time that the endpoint may take to serve after the container's start, in seconds.
      - An engine that is put back, since the new one failed, has at least half an hour.
    type: int
    default: 1800
  stop_timeout:
    description: The time that the engine has to end by itself, in seconds.
    type: int
    default: 30
  stage:
    description:
      - Which part of a deployment of O(group) is done. The role sets it.
      - Of the stages, V(look), V(prepare), V(stop_head), V(end), V(await_old) and V(tell) are the action's alone.
    type: str
    choices: [look, prepare, stop_head, stop, start, await, end, keep, back, resume, await_old, tell]
  stage_timeout:
    description: How many seconds the stage V(await) waits at most before it tells that the endpoint does not serve yet.
    type: int
    default: 60
  docker_host:
    description: The URL of the Docker daemon.
    type: str
    default: unix:///var/run/docker.sock
  instances:
    description:
      - Several engines of the host, each a dictionary of the options in which it differs from those beside this one.
        Not of O(state), O(docker_host), O(prune) and O(remove_images), which are the host's.
      - All are looked at together, in one remote call, and nothing is touched where one has a reason to fail. Images
        and weights are brought first. What serves is replaced one after another, so that the others serve meanwhile.
        After a failure the rest is left as it is. Engines that are new, or do not run, are started side by side.
      - Two engines that would share a port, GPUs or a name are refused.
    type: list
    elements: dict
  model_facts:
    description: What the catalogue has of O(model). The action sets it.
    type: dict
    default: {}
  instance_secrets:
    description: Of each entry of O(instances) its keys, tokens and passwords. The action sets it.
    type: list
    elements: dict
  progress_file:
    description: File on the host to which plain progress lines are appended. The action sets it.
    type: path
seealso:
  - module: inference.fleet.engine_info
  - module: inference.fleet.endpoint_check
"""

EXAMPLES = r"""
- name: Serve Qwen3-Coder-Next with vLLM on every GPU of the host
  inference.fleet.engine:
  become: true

- name: Serve it with SGLang on two of the host's GPUs, on another port
  inference.fleet.engine:
    engine: sglang
    container_name: second
    port: 8001
    gpus: ["2", "3"]
    tensor_parallel_size: 2
  become: true

- name: Serve it twice, on the two halves of the host's GPUs
  inference.fleet.engine:
    tensor_parallel_size: 4
    instances:
      - {container_name: first, gpus: ["0", "1", "2", "3"]}
      - {container_name: second, gpus: ["4", "5", "6", "7"], port: 8001}
  become: true

- name: Remove the engine
  inference.fleet.engine:
    state: absent
  become: true
"""

RETURN = r"""
engine:
  description: The engine as it is now, or as it was found in check mode. Empty where there is no container.
  returned: success
  type: dict
  contains:
    name: {description: The container's name., type: str, returned: success, sample: qwen3-coder-next}
    slot: {description: Its place on the host., type: str, returned: success, sample: "8000"}
    engine: {description: The inference engine., type: str, returned: success, sample: vllm}
    state: {description: The container's state., type: str, returned: success, sample: running}
    model: {description: The model., type: str, returned: success, sample: Qwen/Qwen3-Coder-Next}
    served_model_name: {description: The name it is served by., type: str, returned: success, sample: qwen3-coder-next}
    task: {description: "What the model is for, where O(task) says it.", type: str, returned: success, sample: chat}
    profile: {description: The hardware shape it was made for., type: str, returned: success, sample: h100x4}
    tensor_parallel_size: {description: The tensor parallel size., type: int, returned: success, sample: 4}
    gpus: {description: "Its GPUs by index or UUID, or V(all).", type: list, elements: str, returned: success}
    group:
      description: "Of an engine of several hosts, the C(rank) of this one, 0 for the head, and the C(names) of all."
      type: dict
      returned: success
    simulated: {description: Whether what is measured on it is simulated., type: bool, returned: success, sample: false}
    simulates: {description: The published row that a simulator follows., type: dict, returned: success}
    url: {description: Where the host itself reaches the endpoint., type: str, returned: success, sample: "http://127.0.0.1:8000"}
    bind_address: {description: The address that it is published on., type: str, returned: success, sample: 127.0.0.1}
    version: {description: The version that the engine tells., type: str, returned: success, sample: 0.32.0}
    container: {description: The container's id and when it was made and started., type: dict, returned: success}
    image: {description: "The image's reference, id, and digest in the registry.", type: dict, returned: success}
    argv: {description: The engine's arguments., type: list, elements: str, returned: success}
    environment: {description: "Its environment, without what the image sets.", type: dict, returned: success}
steps:
  description: What was done, or would be done in check mode, in order.
  returned: success
  type: list
  elements: str
  sample: ["replace the container", "wait until the endpoint is ready"]
ready:
  description: Whether the endpoint serves. With O(instances), whether all do.
  returned: success
  type: bool
interrupted:
  description: Whether a run that was cut off left an engine of several hosts that is not kept yet.
  returned: success, with O(group)
  type: bool
unwell:
  description: Why an engine of several hosts has to be started anew on all of them, as its head tells it; else empty.
  returned: success, with O(group)
  type: str
takes:
  description:
    - What the engine is (C(engine), C(model), C(profile), C(simulates), C(image)), and in C(fetch) its image and
      weights, each with C(what), whether it is C(here), its size in C(gib) where it is not, and the C(disk) that it
      goes to. A size that nothing tells is none.
  returned: success, with O(state=prefetched)
  type: dict
name:
  description: The container's name, also where it is gone.
  returned: success, for one engine
  type: str
  sample: qwen3-coder-next
instances:
  description:
    - For each entry of O(instances) and each of O(replicas), in their order, C(name), C(changed), C(diff), RV(engine),
      RV(steps) and RV(ready). What is beside this is then the first engine, and the steps of all.
  returned: success, with several engines
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.inference.fleet.plugins.module_utils.answers import answer
from ansible_collections.inference.fleet.plugins.module_utils.containers import daemon
from ansible_collections.inference.fleet.plugins.module_utils.errors import FleetError
from ansible_collections.inference.fleet.plugins.module_utils.serving import entries, instances
from ansible_collections.inference.fleet.plugins.module_utils.serving.options import PER_HOST, argument_spec


def validated(entry: dict) -> dict:
    """Return an entry of instances with its values in the types of the module's options."""
    spec = {
        name: {key: value for key, value in option.items() if key != "default"}
        for name, option in argument_spec().items()
        if name not in PER_HOST
    }
    result = ArgumentSpecValidator(spec).validate(entry)
    if result.error_messages:
        name = entry.get("container_name") or entry.get("served_model_name") or f"port {entry.get('port')}"
        raise FleetError(f"instances, entry {name}: {'; '.join(result.error_messages)}")
    return {key: value for key, value in result.validated_parameters.items() if value is not None}


def main() -> None:
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    answer(
        module,
        lambda: instances.run(entries.expand(module.params, validated), module.check_mode),
        docker=daemon.IMPORT_ERROR,
    )


if __name__ == "__main__":
    main()
