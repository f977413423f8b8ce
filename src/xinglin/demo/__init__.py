"""The demo county: invented people whose records hang together, the same from the same seed.

`directory` first, then `bundles` in any order; `accounts` are the users to create; `truth` says who is who.
"""

from xinglin.demo.accounts import Account, accounts
from xinglin.demo.county import County, DemoBundle, bundles, directory, truth
from xinglin.demo.institutions import INSTITUTIONS, Institution

__all__ = [
    "INSTITUTIONS",
    "Account",
    "County",
    "DemoBundle",
    "Institution",
    "accounts",
    "bundles",
    "directory",
    "truth",
]
