{{ config(materialized='table') }}

with orders as (

    select * from {{ ref('orders') }}
    where is_purchase

),

customers as (

    select * from {{ ref('customers') }}

),

namespaces as (

    select * from {{ ref('namespaces') }}

),

clicks as (

    select * from {{ ref('email_clicks') }}

),

addressed as (

    select
        orders.namespace,
        orders.order_id,
        orders.ordered_at,
        orders.total,
        coalesce(customers.email, orders.email) as email,
        {{ dbt.dateadd('hour', '-namespaces.attribution_hours', 'orders.ordered_at') }} as window_began_at
    from orders
    inner join namespaces on orders.namespace = namespaces.namespace
    left join customers
        on orders.namespace = customers.namespace
        and orders.customer_id = customers.customer_id

),

ranked as (

    select
        addressed.namespace,
        addressed.order_id,
        addressed.ordered_at,
        addressed.total,
        clicks.nqe,
        clicks.clicked_at,
        row_number() over (
            partition by addressed.namespace, addressed.order_id
            order by clicks.clicked_at desc, clicks.unique_key
        ) as preference
    from addressed
    inner join clicks
        on addressed.namespace = clicks.namespace
        and addressed.email = clicks.email
        and addressed.window_began_at <= clicks.clicked_at
        and addressed.ordered_at >= clicks.clicked_at

)

select
    namespace,
    order_id,
    ordered_at,
    total,
    nqe,
    clicked_at
from ranked
where preference = 1
