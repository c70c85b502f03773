# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Causes that are Docker's, the driver's, the hub's or Python's: whichever engine meets them."""

from __future__ import annotations

from ansible_collections.inference.fleet.plugins.module_utils.diagnosis.cause import Cause

# The specific before the general.
_DRIVER = (
    Cause(
        r"(?i)driver/library version mismatch",
        "the driver's library and the kernel module that is loaded are of two versions: the driver was upgraded under "
        "a running host. Reboot it",
    ),
    Cause(
        r"(?i)unsatisfied condition: (?P<what>brand ?=.*?)(?:: unknown|\\|$|\n)",
        "the image wants another driver, or another kind of GPU ({what} was the last of its conditions). Update the "
        "driver or the NVIDIA container toolkit, take an image for an older CUDA, or set NVIDIA_DISABLE_REQUIRE: 1 in "
        "environment if you know that it runs",
    ),
    Cause(
        r"(?i)unsatisfied condition: (?P<what>cuda ?[<>=]+ ?[\d.]+)",
        "the NVIDIA driver is too old for the image, which wants {what}. Update the driver, or take an image built for "
        "an older CUDA",
    ),
    Cause(
        r"(?i)error 803|unsupported display driver / cuda driver combination",
        "the image's own compatibility libcuda came before the driver's (CUDA error 803). Set LD_LIBRARY_PATH in "
        "environment to where the toolkit puts the driver's, /usr/lib/x86_64-linux-gnu; or take another image; or, "
        "where nvidia-smi fails too, have one driver on the host and reboot",
    ),
    Cause(
        r"(?i)error 804|forward compatibility was attempted",
        "the image brought a newer libcuda than the driver's, which these GPUs do not allow (CUDA error 804). Update "
        "the driver, or take an image built for an older CUDA",
    ),
    Cause(
        r"(?i)cuda driver version is insufficient|driver on your system is too old",
        "the NVIDIA driver is too old for the image. Update the driver, or take an image built for an older CUDA",
    ),
    Cause(
        r"(?i)(?:cuda )?error 802|system not yet initialized",
        "the GPUs have not joined their fabric (CUDA error 802). See nvidia-smi -q (Fabric), start "
        "nvidia-fabricmanager, or reboot the host",
    ),
    Cause(
        r"(?i)no kernel image is available for execution on the device",
        "the image has no code for this kind of GPU. Take an image that supports it, most often a newer one",
    ),
    Cause(
        r"(?i)(?P<what>uncorrectable ECC error encountered|GPU is lost|fallen off the bus|unspecified launch failure)",
        "a GPU failed ({what}). See dmesg on the host for Xid lines; reset the GPU or reboot",
    ),
)
_CONTAINER = (
    Cause(
        r"(?i)nvidia-container-cli: (?:initialization|ldcache|detection) error: (?P<what>.*?(?:libnvidia-ml|driver).*)",
        "the container got no GPU, since the host has no NVIDIA driver that answers ({what}). Run the host role, or "
        "install the driver",
    ),
    Cause(
        r"(?i)nvidia-container-cli: device error: (?P<what>[^:]+): unknown device",
        "the host has no GPU {what}. See nvidia-smi -L, and set gpus",
    ),
    Cause(
        r"(?im)(?P<what>(?:could not select device driver|failed to discover GPU vendor from CDI"
        r"|failed to inject cdi devices|unresolvable CDI devices|unknown or invalid runtime name: nvidia"
        r"|nvidia-container-cli: ).*?)\.?$",
        "the container got no GPU: {what}. Is the NVIDIA container toolkit installed and configured? Run the host "
        "role, and restart Docker Engine, which looks for the toolkit at its start",
    ),
    Cause(
        r"(?i)libcuda\.so\.1: cannot open shared object file|Found no NVIDIA driver on your system"
        r"|no CUDA-capable device is detected|No CUDA GPUs are available|Failed to infer device type"
        r"|No accelerator .*is available",
        "the container has no GPU: the driver's libcuda is not in it. Is the NVIDIA container toolkit installed and "
        "configured? See which GPUs the engine was given (gpus), and start CUDA in a container: "
        "inference.fleet.gpu_container_check",
    ),
    # NCCL says of shared memory what others say of a disk: this one comes first.
    Cause(
        r"(?i)bus error|/dev/shm.*(?:no space|too small|insufficient)|insufficient shared memory \(shm\)"
        r"|while creating shared memory segment|failed to extend /dev/shm|call to posix_fallocate failed",
        "shared memory is too small. Keep ipc_mode at host, or give more with shm_size",
    ),
    Cause(
        r"(?i)no space left on device",
        "the disk is full. Free space where the images and the weights are kept",
    ),
    Cause(
        r"(?i)address already in use|port is already allocated",
        "the port is taken. Choose another port or stop what listens there",
    ),
    Cause(
        r"(?i)exec format error",
        "the image is for another kind of CPU than the host's. Take one for this architecture",
    ),
)
_HUB = (
    Cause(
        r"(?i)RepositoryNotFoundError[\s\S]*?Repository Not Found for url: https?://[^/\s]+/(?:api/models/)?"
        r"(?P<what>[^/\s]+(?:/(?!resolve/)[^/\s]+)?)",
        "the hub has no model {what}, or it is private and hf_token may not read it. Check the name",
    ),
    Cause(
        r"(?i)RepositoryNotFoundError|Repository Not Found",
        "the hub has no such model, or it is private and hf_token may not read it. Check the name",
    ),
    Cause(
        r"(?i)(?P<what>cannot access gated repo|gated repo|access to model \S+ is restricted)",
        "the model is gated ({what}). Accept its licence on the hub and give hf_token",
    ),
    Cause(
        r"(?i)RevisionNotFoundError|Revision Not Found|is not a valid git identifier",
        "the hub has no such revision of the model. Check revision",
    ),
    Cause(
        r"(?i)401 Client Error|Invalid (?:username or password|user token)",
        "the hub refused the token (401). Give an hf_token that is valid and may read the model",
    ),
    Cause(
        r"(?i)(?P<what>is not a local folder and is not a valid model identifier"
        r"|repo id must be in the form [^.\n]*|cannot find an appropriate cached snapshot folder"
        r"|no such file or directory: .*config\.json|invalid repository id or local directory specified"
        r"|does not appear to have a file named config\.json)",
        "the model was not found ({what}). Check its name, or its directory inside the container",
    ),
    Cause(
        r"(?i)couldn't connect to '?https?://\S*|Failed to resolve 'huggingface\.co'|MaxRetryError.*huggingface"
        r"|We couldn't connect to|outgoing traffic has been disabled",
        "the hub could not be reached, and not all of the model is in the cache. Check the host's network, or "
        "HF_ENDPOINT in environment; or bring the weights with prepare.yml",
    ),
    Cause(
        r"(?i)(?:SafetensorError|header too large|HeaderTooLarge|MetadataIncompleteBuffer|invalid load key)",
        "a file of the weights is broken. Remove the model from cache_dir (inference.fleet.engine_cache) and deploy "
        "again",
    ),
)
_PYTHON = (
    Cause(
        r"has model type `?(?P<what>[\w.-]+)`? but Transformers does not recognize this architecture",
        "the image's transformers does not know the model type {what}. Take a newer image of the engine: the model is "
        "newer than it",
    ),
    Cause(
        r"Model architectures \[?'?(?P<what>[\w', ]+?)'?\]? (?:are not supported|failed to be inspected)",
        "the engine does not know the model's architecture ({what}). Take a newer image, or the other engine",
    ),
    Cause(
        r"(?i)requires you to execute the .* file in that repo|contains custom code which must be executed"
        r"|pass the argument `trust_remote_code",
        "the model brings code of its own, which the engine may not run. Read that code, and allow it with "
        "trust_remote_code",
    ),
    Cause(
        r"(?m)^(?:[\w.-]+(?: [\w.-]+)?: )?error: (?:argument )?unrecognized arguments: (?P<what>.+)",
        "the engine does not know {what}. Check extra_args against the engine's version",
    ),
    Cause(
        r"(?m)^(?:[\w./-]+(?: [\w.-]+)?: )?error: "
        r"(?P<what>(?:argument |the following arguments|ambiguous option|--?\S).*)",
        "the engine does not accept its arguments: {what}. Check extra_args against the engine's version",
    ),
    Cause(
        r"OutOfResources: out of resource: shared memory, Required: (?P<what>\d+), Hardware limit: (?P<limit>\d+)",
        "a Triton kernel wants {what} bytes of the GPU's own shared memory (SMEM), and this GPU has {limit}; "
        "that is not /dev/shm. Take a newer image, in which it is tuned for this GPU, or another quantisation of the "
        "model",
    ),
    Cause(
        r"(?m)^(?:ModuleNotFoundError|ImportError): No module named '(?P<what>[\w.]+)'",
        "the image lacks the Python package {what}. Take the engine's own image, or one that has it",
    ),
    Cause(
        r"(?i)illegal memory access",
        "a kernel read memory that is not its own (CUDA: illegal memory access). Deploy again; where it comes back, "
        "take another image, or fewer CUDA graphs",
    ),
    Cause(
        r"(?i)(?P<what>(?:NCCL error|ncclSystemError|ncclUnhandledCudaError|unhandled system error)[^\n]*)",
        "the GPUs could not talk to each other ({what}). Keep ipc_mode at host, and see what NCCL says with "
        "NCCL_DEBUG: INFO in environment",
    ),
)

CAUSES: tuple[Cause, ...] = (*_DRIVER, *_CONTAINER, *_HUB, *_PYTHON)
