"""``potstill reproduce table1``: the tables and figures of the paper, with potstill's results beside the paper's.

The paper is *Offline Behavior Distillation* (Lei, Zhang and Tao, NeurIPS 2024).

Terms and modules:

- A **cell** (:mod:`~potstill.commands.paper.cells`) is a plain declaration of one measurement: a dataset, a method, a
  number of pairs, a kind of student, a seed. Two equal cells are one measurement, so tables share cells: Tables 1, 2, 3
  and 5 and both figures use the same distillates of 256 pairs. A cell names the cells that it needs.
- A **method** (:mod:`~potstill.commands.paper.methods`) is a named set of options of ``potstill distill``. Methods form
  groups: ``equal`` (the objectives under equal conditions), ``potstill`` (all defaults) and ``paper`` (the presets).
- A **scale** (:mod:`~potstill.commands.paper.scales`) says how many seeds, students, episodes and steps there are.
- A **plan** (:mod:`~potstill.commands.paper.plans`) lists the rows of a table and the cells of each row.
- :func:`~potstill.commands.paper.measuring.measure_cell` measures a cell through the functions of the commands, in a
  run folder of its own, ``cells/NAME`` inside the folder of the reproduction. The outcome is the cell's **record**, a
  JSON object with undiscounted returns.
- :func:`~potstill.commands.paper.grid.run_cells` runs the cells that have no record yet. Each record is saved in
  the run folder as soon as it is made. A cell that fails has none: the others are still measured, the tables are
  written without it, and the command ends in an error. ``--resume`` measures only the cells without a record. An
  interrupted distillation continues from its checkpoint.
- :mod:`~potstill.commands.paper.tables`, :mod:`~potstill.commands.paper.convergence` and
  :mod:`~potstill.commands.paper.figures` compute the numbers of each target from the records. All scores of a dataset
  share their reference returns and their denominator, the teacher's mean return, which is measured once.
- :mod:`potstill.reports.paper` has the paper's numbers, and writes Markdown, CSV, pictures and the sentences that
  compare potstill's numbers with the paper's.
- :mod:`~potstill.commands.paper.targets` joins them: for each name such as ``table1``, the cells and the results.
"""
