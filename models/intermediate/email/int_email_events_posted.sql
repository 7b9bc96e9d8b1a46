{#- The columns and their types are those of the contract, beside this file: a raw table may have others. -#}
{{ config(contract={'enforced': true}) }}

{% for provider in providers() %}
select
    {% for column in model.columns.values() if column.name != 'source' %}
    cast({{ column.name }} as {{ api.Column.translate_type(column.data_type) }}) as {{ column.name }},
    {% endfor %}
    cast('{{ provider }}.events' as {{ dbt.type_string() }}) as source
from {{ ref('stg_' ~ provider ~ '__events') }}
{% if not loop.last %}union all{% endif %}
{% endfor %}
