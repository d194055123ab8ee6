"""What the tests of the command line share."""


def assert_fails(result, *parts):
    """Exit code 2, nothing on stdout, and one line on stderr that holds `parts`."""
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    for part in parts:
        assert str(part) in result.stderr
