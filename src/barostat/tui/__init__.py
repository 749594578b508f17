"""`barostat top`: the host and its VMs as they stand, every second, and what may be done with them.

It asks one desk, and knows no more than the documents that anybody can read.
"""
