# What CI runs, for a machine that has just. Without it: bash .ci/run

# Everything that CI checks.
check:
    bash .ci/run

# Writes .sqlx anew after a query or a migration changed.
sqlx:
    bash deploy/sqlx-prepare
