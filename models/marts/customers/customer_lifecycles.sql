with customers as (

    select * from {{ ref('customers') }}

),

purchases as (

    select
        namespace,
        customer_id,
        count(distinct ordered_on) as purchase_days,
        min(ordered_on) as first_purchased_on,
        max(ordered_on) as last_purchased_on
    from {{ ref('orders') }}
    where is_purchase and ordered_on <= {{ as_of() }}
    group by namespace, customer_id

),

counted as (

    select
        customers.namespace,
        customers.customer_id,
        coalesce(purchases.purchase_days, 0) as purchase_days,
        purchases.first_purchased_on,
        purchases.last_purchased_on,
        {{ days_between('purchases.first_purchased_on', 'purchases.last_purchased_on') }} as days_between,
        {{ days_between('purchases.last_purchased_on', as_of()) }} as days_since
    from customers
    left join purchases
        on customers.namespace = purchases.namespace
        and customers.customer_id = purchases.customer_id

)

select
    namespace,
    customer_id,
    cast(purchase_days as bigint) as purchase_days,
    first_purchased_on,
    last_purchased_on,
    case
        when purchase_days = 0 then 'non_buyer'
        when days_since > {{ var('buyer_days') }} then 'lapsed_buyer'
        when purchase_days > 1
            and 100 * days_since * (purchase_days - 1) > {{ var('overdue_percent') }} * days_between
            then 'at_risk_buyer'
        else 'active_buyer'
    end as lifecycle_stage
from counted
