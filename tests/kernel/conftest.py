"""What is about the one version of cgroups is collected where that version has the controllers: the other is elsewhere.

Not a skip: nothing is missing on such a host. CI runs both kinds, this machine's and a guest's (``tests/guest``).
"""

from tests.kernel.groups import CONTROLLED

collect_ignore = ["test_cgroups_v1.py" if CONTROLLED == "v2" else "test_cgroups_v2.py"]
