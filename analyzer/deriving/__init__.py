"""What teams' queries mean, worked out in a process of its own: see `analyzer.ports.Deriver`.

A query is a team's, and reading it takes a parser, regular expressions and some searching. Whatever
one of them costs, the loop goes on, and no more memory is taken than the process may have.
"""
