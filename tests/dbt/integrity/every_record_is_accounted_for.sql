-- Per source: raw rows = kept + superseded by a later version + rejected; of the platform's, those with a fault.
{%- set sources = {
    'commerce.products': ('base_commerce__rows', 'products', 'int_products_judged', 'products'),
    'commerce.orders': ('base_commerce__rows', 'orders', 'int_orders_judged', 'orders'),
    'commerce.sessions': ('base_commerce__rows', 'sessions', 'int_sessions_judged', 'sessions'),
    'data_science.scores': ('base_data_science__rows', 'scores', 'int_scores_judged', 'customer_scores')
} %}

with counted as (
    {% for source, models in sources.items() %}
    select
        '{{ source }}' as source,
        (select count(*) from {{ ref(models[0]) }} where entity = '{{ models[1] }}') as raw_rows,
        (select count(*) from {{ ref(models[3]) }}) as kept,
        (select count(*) from {{ ref(models[2]) }} where disposition = 'superseded') as superseded,
        (select count(*) from {{ ref('rejected_records') }} where source = '{{ source }}') as rejected
    union all
    {%- endfor %}
    {%- for entity in entities()['platform'] if entity not in ('halts', 'unsubscribes') %}
    select
        'platform.{{ entity }}' as source,
        (
            select count(*) from {{ ref('base_platform__rows') }} where entity = '{{ entity }}' and fault is not null
        ) as raw_rows,
        0 as kept,
        0 as superseded,
        (
            select count(*) from {{ ref('rejected_records') }}
            where source = 'platform.{{ entity }}' and reason = 'malformed'
        ) as rejected
    {{ 'union all' if not loop.last }}
    {%- endfor %}
)

select *
from counted
where raw_rows <> kept + superseded + rejected
