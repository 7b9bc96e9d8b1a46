{%- set of_customers = declared_definitions(['customer_attribute']) -%}
{%- set names_of_customers = of_customers | map(attribute='attribute') | unique | list -%}

with products as (

    select * from {{ ref('int_products_judged') }}
    where disposition = 'rejected'

),

orders as (

    select * from {{ ref('int_orders_judged') }}
    where disposition = 'rejected'

),

sessions as (

    select * from {{ ref('int_sessions_judged') }}
    where disposition = 'rejected'

),

scores as (

    select * from {{ ref('int_scores_judged') }}
    where disposition = 'rejected'

),

faulty as (
    {% for system, entity in sources_of_records() %}
    select
        '{{ system }}.{{ entity }}' as source,
        fault,
        file_name,
        line_number
    from {{ ref('base_' ~ system ~ '__' ~ entity) }}
    where fault is not null
    {{ 'union all' if not loop.last }}
    {% endfor %}
),

customers as (

    select * from {{ ref('customers') }}

),

described as (

    {{ json_documents('customers', 'attributes', names_of_customers, is_sound('attributes')) | indent(4) }}

),

misfits as (

    select
        namespace,
        customer_id,
        trim(
            {%- for definition in of_customers %}
            {{ '|| ' if not loop.first -}}
            case when {{ is_misfit('document', definition, 'namespace') }} then '{{ definition.name }} ' else '' end
            {%- endfor %}
        ) as detail
    from described

),

rejected as (

    select
        'commerce.products' as source,
        namespace,
        product_id as record_id,
        rejection_reason as reason,
        cast(null as {{ dbt.type_string() }}) as detail,
        file_name,
        line_number
    from products

    union all

    select
        'commerce.orders' as source,
        namespace,
        order_id as record_id,
        rejection_reason as reason,
        cast(null as {{ dbt.type_string() }}) as detail,
        file_name,
        line_number
    from orders

    union all

    select
        'commerce.sessions' as source,
        namespace,
        session_id as record_id,
        rejection_reason as reason,
        cast(null as {{ dbt.type_string() }}) as detail,
        file_name,
        line_number
    from sessions

    union all

    select
        'data_science.scores' as source,
        namespace,
        customer_id as record_id,
        rejection_reason as reason,
        score as detail,
        file_name,
        line_number
    from scores

    union all

    select
        'platform.customers' as source,
        namespace,
        customer_id as record_id,
        'another_type' as reason,
        detail,
        cast(null as {{ dbt.type_string() }}) as file_name,
        cast(null as bigint) as line_number
    from misfits
    where detail <> ''

    union all

    select
        source,
        cast(null as {{ dbt.type_string() }}) as namespace,
        cast(null as {{ dbt.type_string() }}) as record_id,
        'malformed' as reason,
        fault as detail,
        file_name,
        line_number
    from faulty

),

-- A loader need not say of which file a row is: then those that look alike are told apart by their number.
{% set told_by = ['source', 'namespace', 'record_id', 'detail', 'file_name', 'line_number'] %}
numbered as (

    select
        *,
        case
            when file_name is null
                then row_number() over (partition by {{ told_by | join(', ') }} order by reason)
        end as number_of_alike
    from rejected

)

select
    source,
    namespace,
    record_id,
    reason,
    detail,
    case
        when number_of_alike > 1 then {{ surrogate_key(told_by + ['number_of_alike']) }}
        else {{ surrogate_key(told_by) }}
    end as unique_key,
    file_name,
    line_number
from numbered
order by source, namespace, record_id, unique_key
