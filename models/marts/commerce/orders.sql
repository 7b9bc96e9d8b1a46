with orders as (

    select * from {{ ref('int_orders_judged') }}
    where disposition = 'kept'

),

addresses as (

    select
        namespace,
        email,
        min(customer_id) as customer_id
    from {{ ref('customers') }}
    where email is not null
    group by namespace, email
    having count(*) = 1

)

select
    orders.namespace,
    orders.order_id,
    coalesce(orders.customer_id, addresses.customer_id) as customer_id,
    orders.email,
    orders.status,
    orders.is_purchase,
    orders.ordered_at,
    cast(orders.ordered_at as date) as ordered_on,
    orders.currency,
    orders.total,
    orders.lines,
    orders.updated_at
from orders
left join addresses
    on orders.namespace = addresses.namespace
    and orders.email = addresses.email
