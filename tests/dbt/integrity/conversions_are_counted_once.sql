-- Every attributed order is a conversion of one day and one campaign, with its revenue.
with attributed as (

    select * from {{ ref('int_orders_attributed') }}

),

campaigns as (

    select * from {{ ref('analytics_campaigns') }}

),

performance as (

    select * from {{ ref('analytics_performance') }}

),

sides as (

    select
        namespace,
        count(*) as orders,
        coalesce(sum(total), 0) as paid,
        0 as conversions,
        0 as revenue,
        0 as performance_conversions,
        0 as performance_revenue
    from attributed
    group by namespace

    union all

    select
        namespace,
        0 as orders,
        0 as paid,
        sum(conversions) as conversions,
        sum(revenue) as revenue,
        0 as performance_conversions,
        0 as performance_revenue
    from campaigns
    group by namespace

    union all

    select
        namespace,
        0 as orders,
        0 as paid,
        0 as conversions,
        0 as revenue,
        sum(conversions) as performance_conversions,
        sum(revenue) as performance_revenue
    from performance
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
having sum(orders) <> sum(conversions)
    or sum(orders) <> sum(performance_conversions)
    or sum(paid) <> sum(revenue)
    or sum(paid) <> sum(performance_revenue)
