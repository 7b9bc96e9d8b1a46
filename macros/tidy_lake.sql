{#
    What builds leave behind in a lake: snapshots that nobody reads, the files of rows that were replaced, and many small
    files. Forgets snapshots older than days, joins small files, and removes files that no snapshot has named for the hours
    of grace, which readers that are at work still need.

        dbt run-operation --target lake tidy_lake --args '{days: 7}'
#}
{% macro tidy_lake(days=7, grace_hours=24) -%}
    {%- set lake = "'" ~ target.database ~ "'" -%}
    {%- set kept = 'older_than => now() - interval ' ~ days ~ ' days' -%}
    {%- set grace = 'older_than => now() - interval ' ~ grace_hours ~ ' hours' -%}
    {%- set forgotten = run_query('call ducklake_expire_snapshots(' ~ lake ~ ', ' ~ kept ~ ')') -%}
    {%- do run_query('call ducklake_merge_adjacent_files(' ~ lake ~ ')') -%}
    {%- set removed = run_query('call ducklake_cleanup_old_files(' ~ lake ~ ', ' ~ grace ~ ')') -%}
    {%- set lost = run_query('call ducklake_delete_orphaned_files(' ~ lake ~ ', ' ~ grace ~ ')') -%}
    {%- do log(
        forgotten.rows | length ~ ' snapshots forgotten, ' ~ (removed.rows | length + lost.rows | length)
        ~ ' files removed', info=true
    ) -%}
{%- endmacro %}
