-- Per source: lines with a fault, and records that were rejected, are those that rejected_records lists.
{%- set judged = {
    'commerce.products': 'int_products_judged',
    'commerce.orders': 'int_orders_judged',
    'commerce.sessions': 'int_sessions_judged',
    'data_science.scores': 'int_scores_judged'
} %}

with given as (
    {% for system, entity in sources_of_records() %}
    select '{{ system }}.{{ entity }}' as source
    from {{ ref('base_' ~ system ~ '__' ~ entity) }}
    where fault is not null

    union all
    {% endfor %}
    {% for source, model in judged.items() %}
    select '{{ source }}' as source
    from {{ ref(model) }}
    where disposition = 'rejected'
    {{ 'union all' if not loop.last }}
    {% endfor %}
),

listed as (

    select source from {{ ref('rejected_records') }}
    where reason <> 'another_type'

),

both_sides as (

    select
        source,
        1 as given,
        0 as listed
    from given

    union all

    select
        source,
        0 as given,
        1 as listed
    from listed

)

select
    source,
    sum(given) as given,
    sum(listed) as listed
from both_sides
group by source
having sum(given) <> sum(listed)
