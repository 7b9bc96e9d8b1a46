{#
    The day of "now" in current-state models, so many days on: the UTC day on which the dbt command began, or var as_of
    to see another day. A whole day, so that a second build of the day gives the same rows.
#}

{% macro as_of(days=0) -%}
    {%- set day = modules.datetime.date.fromisoformat(var('as_of') | string) if var('as_of') else run_started_at.date() -%}
    date '{{ day + modules.datetime.timedelta(days=days) }}'
{%- endmacro %}
