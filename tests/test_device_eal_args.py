"""EAL's argument vector and the reading of its log: no libdpdk needed."""
import pytest

from dpdk_py import eal_args, eal_log


def build(*user, free_mb=0, **kw):
    return eal_args.build(user, free_mb=free_mb, **kw)


def test_without_hugepages_nothing_is_written_to_disk_or_probed():
    assert build(cpu=1) == ["--no-huge", "--no-shconf", "-m", "512", "--lcores=0@1", "--no-telemetry", "--no-pci"]


def test_free_hugepages_are_taken_only_if_they_suffice():
    assert build(free_mb=512) == ["--in-memory", "--lcores=0@0", "--no-telemetry", "--no-pci"]
    assert "--no-huge" in build(free_mb=eal_args.HUGE_NEED_MB - 1)
    assert "--no-huge" in build("-m", "1024", free_mb=512)
    assert "--no-huge" in build(free_mb=512, hugepages=False)


def test_what_the_user_says_is_kept_and_not_said_twice():
    assert build("-l", "2-3", "-n", "4", "--no-huge", "-m", "64", "--telemetry") == [
        "-l", "2-3", "-n", "4", "--no-huge", "-m", "64", "--telemetry", "--no-shconf", "--no-pci"]
    assert build("-l0-1", "--file-prefix=x", free_mb=999) == ["-l", "0-1", "--file-prefix=x", "--no-telemetry",
                                                              "--no-pci"]


def test_a_pci_port_is_allowed_by_its_address_alone():
    out = build(pci=["0000:3b:00.0"])
    assert out[-2:] == ["-a", "0000:3b:00.0"] and "--no-pci" not in out
    assert build("-a", "3b:00.0", pci=["0000:3b:00.0"]).count("-a") == 1
    assert eal_args.pci_address("3B:00.1") == "0000:3b:00.1"
    assert eal_args.pci_address("net_null0") is None


@pytest.mark.parametrize("user, kw, said", [
    (["-l", "0", "-c", "1"], {}, "-c and -l contradict"),
    (["--no-huge", "--in-memory"], {}, "--no-huge and --in-memory contradict"),
    (["--no-pci"], {"pci": ["0000:3b:00.0"]}, "--no-pci contradicts the PCI port 0000:3b:00.0"),
    (["-a", "0000:01:00.0"], {"pci": ["0000:3b:00.0"]}, "not among those allowed"),
    (["--no-huge"], {"hugepages": True}, "contradicts hugepages=True"),
    (["--in-memory"], {"hugepages": False}, "hugepages=False contradicts --in-memory"),
    ([], {"hugepages": True}, "none is free"),
    (["--vdev", "net_null0"], {}, "fails in silence"),
    (["--proc-type=secondary"], {}, "only a primary"),
    (["--in-memroy"], {}, "did you mean --in-memory?"),
    (["-l"], {}, "-l needs a value"),
    (["-l", "-n", "4"], {}, "-l needs a value"),
    (["--no-huge=1"], {}, "takes no value"),
    (["-m", "lots"], {"free_mb": 512}, "must be a number"),
    ([3], {}, "is no string"),
    (["--help"], {}, "prints and exits"),
])
def test_contradictions_are_refused_before_eal_sees_them(user, kw, said):
    with pytest.raises(ValueError, match=said):
        eal_args.build(user, **{"free_mb": 0, **kw})


def test_free_hugepages_are_summed_over_sizes_without_the_reserved(tmp_path):
    for size, free, reserved in ((2048, 10, 3), (1048576, 2, 0)):
        pool = tmp_path / f"hugepages-{size}kB"
        pool.mkdir()
        (pool / "free_hugepages").write_text(f"{free}\n")
        (pool / "resv_hugepages").write_text(f"{reserved}\n")
    (tmp_path / "hugepages-brokenkB").mkdir()
    assert eal_args.free_hugepages_mb(str(tmp_path)) == 14 + 2048
    assert eal_args.free_hugepages_mb(str(tmp_path / "absent")) == 0


def test_the_log_is_reduced_to_its_reasons():
    text = ("EAL: Detected CPU lcores: 2\nEAL: Selected IOVA mode 'VA'\n"
            "rte_pmd_init_internals(): net_af_packet0: ioctl failed (SIOCGIFINDEX):No such device\n"
            "EAL: Driver cannot attach the device (net_af_packet0)\nEAL: Failed to attach device on primary process\n"
            "\nUsage: python [options]\n\nEAL common options:\n  -c COREMASK         Hexadecimal bitmask of cores\n")
    assert eal_log.reasons(text) == ["net_af_packet0: ioctl failed (SIOCGIFINDEX):No such device"]
    assert "ip link" in eal_log.remedy(text)
    assert eal_log.reasons("EAL: Detected CPU lcores: 2\n") == [] and eal_log.remedy("well") is None


def test_runtime_directory_only_where_the_callers_is_missing():
    assert not eal_args.wants_runtime_dir({"XDG_RUNTIME_DIR": "/run/user/1"})
