{%- set week_of = dbt.dateadd('day', -1, dbt.date_trunc('week', dbt.dateadd('day', 1, 'ordered_on'))) -%}

with purchases as (

    select
        namespace,
        customer_id,
        cast({{ week_of }} as date) as week,
        max(ordered_on) as last_ordered_on,
        count(*) as orders,
        sum(total) as revenue
    from {{ ref('orders') }}
    where is_purchase and customer_id is not null
    group by namespace, customer_id, cast({{ week_of }} as date)

)

select
    namespace,
    customer_id,
    week,
    cast(orders as bigint) as orders,
    cast(coalesce(revenue, 0) as decimal(38, 3)) as revenue,
    cast(sum(orders) over (partition by namespace, customer_id order by week) as bigint) as lifetime_orders,
    lag(last_ordered_on) over (partition by namespace, customer_id order by week) as ordered_before_on
from purchases
