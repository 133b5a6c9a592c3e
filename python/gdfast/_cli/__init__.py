"""The command line: ``python -m gdfast``.

==============  =============================================================================================
`main`          arguments, errors and exit statuses
`report`        information for a bug report
`train`         from a table to a model file
`predict`       from a model file and a table to predictions
`info`          what a model file holds
`bench`         the speed of this machine
`models`        model files, for `predict` and `info`
`tables`        reading of CSV and Parquet
`columns`       what the texts of a column are taken as
`output`        aligned lines, and files to write
`errors`        the errors that end a command
==============  =============================================================================================
"""
