"""What the commands of ``graphc`` do, a module for each; `graphc.cli` reads their arguments.

Each has a function ``run(options)`` that returns the exit status.
"""
