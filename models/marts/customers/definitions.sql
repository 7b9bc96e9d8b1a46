{%- set declared = declared_definitions() -%}

with definitions as (
    {% for definition in declared %}
    select
        {{ dbt_delivery.quoted([definition.name]) }} as definition,
        {{ loop.index }} as position,
        {{ dbt_delivery.quoted([definition.kind]) }} as kind,
        {{ dbt_delivery.quoted([definition.data_type]) }} as data_type,
        {{ nullable(definition.namespaces | join('|')) }} as namespaces,
        {{ dbt_delivery.quoted([definition.attribute]) }} as attribute,
        {{ dbt_delivery.quoted([definition.description]) }} as description
    {{ 'union all' if not loop.last }}
    {%- endfor %}
)

select
    cast(definition as {{ dbt.type_string() }}) as definition,
    cast(position as bigint) as position,
    cast(kind as {{ dbt.type_string() }}) as kind,
    cast(data_type as {{ dbt.type_string() }}) as data_type,
    cast(namespaces as {{ dbt.type_string() }}) as namespaces,
    cast(attribute as {{ dbt.type_string() }}) as attribute,
    cast(description as {{ dbt.type_string() }}) as description
from definitions
