{%- set ids = {'base_platform__halts': ['id_hash'], 'base_platform__unsubscribes': ['id_hash']} -%}
{%- for provider in providers() -%}
{%- do ids.update({'stg_' ~ provider ~ '__events': ['id_hash', 'alike_hash']}) -%}
{%- endfor -%}

{#- No CTE for each of them: one that is read twice PostgreSQL would read whole, not by its indexes. -#}
{% for posts, columns in ids.items() %}
{% set is_last = loop.last %}
{% for column in columns %}
select
    {{ column }} as id,
    event_day,
    loaded_at
from {{ ref(posts) }}
where {{ column }} is not null
{% if not (is_last and loop.last) %}union all{% endif %}
{% endfor %}
{% endfor %}
