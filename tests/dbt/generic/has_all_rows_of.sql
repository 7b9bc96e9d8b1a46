{% test has_all_rows_of(model, raw) %}

    {{ config(enabled=has_raw_tables_to_count()) }}

    {{ rows_not_read(model, raw) }}

{% endtest %}
