"""The part of Jenkins' junit-10.xsd that is written: attributes, and children in their order."""

from xml.etree import ElementTree

ATTRIBUTES = {
    "testsuites": {"name", "tests", "failures", "errors"},
    "testsuite": {"name", "tests", "failures", "errors", "skipped", "timestamp", "hostname"},
    "testcase": {"classname", "name"},
    "failure": {"message", "type"},
    "error": {"message", "type"},
    "skipped": {"message"},
    "system-out": set(),
}
CHILDREN = {
    "testsuites": ("testsuite",),
    "testsuite": ("testcase",),
    "testcase": ("skipped", "error", "failure", "system-out"),
}
COUNTED = {"tests": "testcase", "failures": "failure", "errors": "error", "skipped": "skipped"}


def parse_junit(data: bytes) -> ElementTree.Element:
    """Return the root of JUnit XML whose shape and counts are right."""
    root = ElementTree.fromstring(data)
    check_shape(root)
    return root


def check_shape(element: ElementTree.Element) -> None:
    assert set(element.keys()) == ATTRIBUTES[element.tag]
    order = CHILDREN.get(element.tag, ())
    places = [order.index(child.tag) for child in element]
    assert places == sorted(places)
    if element.tag == "testcase":
        assert len(places) == len(set(places))
        assert len({child.tag for child in element} - {"system-out"}) <= 1
    for kind, tag in COUNTED.items():
        if element.get(kind) is not None:
            assert int(element.get(kind, "")) == len(list(element.iter(tag)))
    for child in element:
        check_shape(child)
