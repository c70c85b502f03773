# Copyright (c) 2026, inference.fleet contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""nvidia-smi's XML and the kernel's log, read as the health of GPUs. The samples follow NVIDIA's documentation."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.inference.fleet.plugins.module_utils.host import gpu_health

UUID = "GPU-6a5f0b0e-6a0e-5a6e-8b8c-1f7a0a5e2d11"
H100 = f"""\
<?xml version="1.0" ?>
<!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v12.dtd">
<nvidia_smi_log>
  <driver_version>570.86.15</driver_version>
  <cuda_version>12.8</cuda_version>
  <attached_gpus>1</attached_gpus>
  <gpu id="00000000:19:00.0">
    <product_name>NVIDIA H100 80GB HBM3</product_name>
    <persistence_mode>Enabled</persistence_mode>
    <mig_mode><current_mig>Disabled</current_mig><pending_mig>Disabled</pending_mig></mig_mode>
    <uuid>{UUID}</uuid>
    <gpu_recovery_action>None</gpu_recovery_action>
    <fabric><state>Completed</state><status>Success</status><cliqueId>0</cliqueId></fabric>
    <fb_memory_usage><total>81559 MiB</total><reserved>551 MiB</reserved><used>70012 MiB</used></fb_memory_usage>
    <ecc_mode><current_ecc>Enabled</current_ecc><pending_ecc>Enabled</pending_ecc></ecc_mode>
    <ecc_errors>
      <volatile>
        <sram_correctable>7</sram_correctable>
        <sram_uncorrectable_parity>1</sram_uncorrectable_parity>
        <sram_uncorrectable_secded>0</sram_uncorrectable_secded>
        <dram_correctable>0</dram_correctable>
        <dram_uncorrectable>2</dram_uncorrectable>
      </volatile>
      <aggregate>
        <dram_uncorrectable>9</dram_uncorrectable>
      </aggregate>
    </ecc_errors>
    <retired_pages><pending_blacklist>N/A</pending_blacklist><pending_retirement>N/A</pending_retirement></retired_pages>
    <remapped_rows>
      <remapped_row_corr>0</remapped_row_corr>
      <remapped_row_unc>1</remapped_row_unc>
      <remapped_row_pending>Yes</remapped_row_pending>
      <remapped_row_failure>No</remapped_row_failure>
    </remapped_rows>
    <processes>
      <process_info>
        <gpu_instance_id>N/A</gpu_instance_id>
        <pid>4242</pid>
        <type>C</type>
        <process_name>VLLM::Worker_TP0</process_name>
        <used_memory>70000 MiB</used_memory>
      </process_info>
      <process_info>
        <pid>900</pid>
        <type>G</type>
        <process_name>/usr/lib/xorg/Xorg</process_name>
        <used_memory>4 MiB</used_memory>
      </process_info>
    </processes>
  </gpu>
</nvidia_smi_log>
"""
KERNEL = """\
nvidia-nvlink: Nvlink Core is being initialized, major device number 510
NVRM: Xid (PCI:0000:19:00): 13, pid='<unknown>', name=<unknown>, Graphics Exception: ESR 0x404600=0x80000002
NVRM: Xid (PCI:0000:19:00): 13, pid=77, name=python3, another one
NVRM: Xid (PCI:0000:3b:00): 79, pid=4242, name=VLLM::Worker, GPU has fallen off the bus.
"""
ID = "0123456789abcdef" * 4


def test_an_h100() -> None:
    assert gpu_health.parse(H100) == {
        UUID: {
            "ecc_enabled": True,
            "ecc_uncorrected": 3,
            "remap_pending": True,
            "remap_failed": False,
            "recovery_action": "None",
            "brand": None,
            "fabric_state": "Completed",
            "fabric_status": "Success",
            "memory_used_mib": 70012,
            "processes": [{"pid": 4242, "name": "VLLM::Worker_TP0", "memory_mib": 70000, "container": None}],
            "xids": [],
        }
    }


def test_a_card_that_tells_little() -> None:
    text = f"<nvidia_smi_log><gpu><uuid>{UUID}</uuid><fabric><state>N/A</state></fabric></gpu></nvidia_smi_log>"
    assert gpu_health.parse(text) == {UUID: gpu_health.unknown()}


@pytest.mark.parametrize(
    "text", ["", "Failed to initialize NVML: Driver/library version mismatch", "No devices were found", H100[:900]]
)
def test_a_driver_in_trouble_tells_nothing(text: str) -> None:
    assert gpu_health.parse(text) == {}


def test_xids_belong_to_their_gpu_each_code_once() -> None:
    gpus = [{"uuid": UUID, "pci_bus_id": "00000000:19:00.0"}, {"uuid": "GPU-2", "pci_bus_id": "00000000:3B:00.0"}]
    first, second = gpu_health.with_health(gpus, gpu_health.parse(H100), KERNEL)
    assert [xid["code"] for xid in first["xids"]] == [13]
    assert [xid["code"] for xid in second["xids"]] == [79]
    assert second["xids"][0]["message"].endswith("GPU has fallen off the bus.")
    assert gpu_health.troubles(second) == ["Xid 79 (fell off the bus)"]


def test_the_kernel_s_log_is_read_without_waiting_for_more(tmp_path: Path) -> None:
    fifo = tmp_path / "kmsg"
    os.mkfifo(fifo)
    writer = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
    os.write(writer, b"4,100,5,-;NVRM: Xid (PCI:0000:19:00): 48, pid=1, DBE\n")
    try:
        assert gpu_health.xids(gpu_health.kernel_log(str(fifo)))["0000:19:00"][0]["code"] == 48
    finally:
        os.close(writer)
    assert gpu_health.kernel_log(str(tmp_path / "none")) == ""


@pytest.mark.parametrize(
    ("cgroup", "container"),
    [
        (f"0::/system.slice/docker-{ID}.scope\n", ID),
        (f"12:devices:/docker/{ID}\n0::/\n", ID),
        ("0::/user.slice/user-1000.slice\n", None),
    ],
)
def test_the_container_of_a_process(tmp_path: Path, cgroup: str, container: str | None) -> None:
    (tmp_path / "4242").mkdir()
    (tmp_path / "4242/cgroup").write_text(cgroup, encoding="utf-8")
    assert gpu_health.container_of(4242, tmp_path) == container
    assert gpu_health.container_of(1, tmp_path) is None


def test_a_real_h200_is_of_nvidia_s_brand_and_well() -> None:
    (gpu,) = list(gpu_health.parse((Path(__file__).parent / "h200-580.159.04.xml").read_text()).values())
    assert gpu["brand"] == "NVIDIA"
    assert gpu_health.troubles(gpu) == []
