-- Every attributed order is a conversion of one day, with its revenue.
with sides as (

    select
        namespace,
        count(*) as orders,
        coalesce(sum(total), 0) as paid,
        0 as conversions,
        0 as revenue
    from {{ ref('attributed_orders') }}
    group by namespace

    union all

    select
        namespace,
        0 as orders,
        0 as paid,
        sum(conversions) as conversions,
        sum(revenue) as revenue
    from {{ ref('analytics_performance') }}
    group by namespace

)

select
    namespace,
    sum(orders) as orders,
    sum(conversions) as conversions,
    sum(paid) as paid,
    sum(revenue) as revenue
from sides
group by namespace
having sum(orders) <> sum(conversions) or sum(paid) <> sum(revenue)
